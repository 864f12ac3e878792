#include "check.h"
void check_attn(check *c) {
    (void)c;
}
void bench_attn(check *c) {
    (void)c;
}
