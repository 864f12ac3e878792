/* bench_mask: see below. */
int main(void) {
    return 0;
}
