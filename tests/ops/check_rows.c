#include "check.h"
void check_rows(check *c) {
    (void)c;
}
void bench_rows(check *c) {
    (void)c;
}
