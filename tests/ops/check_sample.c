#include "check.h"
void check_sample(check *c) {
    (void)c;
}
void bench_sample(check *c) {
    (void)c;
}
