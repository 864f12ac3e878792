/* logits_mask and fill, to the bit: which logits become -inf under masks of every density, that no
 * other row or element is touched, and that dummy values are the draws of pgd_rng_next. */
#include "harness.cuh"

struct MaskCase {
    uint32_t n_rows, n_seq, vocab, percent; /* of sequences with a mask */
};

static void check_mask(Harness &h, const MaskCase &c) {
    const uint32_t n_words = (c.vocab + 31) / 32;
    std::vector<pgd_plan_seq> seq(c.n_seq);
    std::vector<uint32_t> mask, first(c.n_seq); /* of each sequence: its mask's first word */
    for (uint32_t i = 0; i < c.n_seq; i++) {
        seq[i] = {};
        seq[i].flags = PGD_PLAN_SAMPLE;
        if (h.below(100) >= c.percent) continue;
        seq[i].flags |= PGD_PLAN_MASK;
        first[i] = (uint32_t)mask.size();
        const uint32_t density = h.below(3);
        for (uint32_t w = 0; w < n_words; w++) {
            const uint32_t bits = (uint32_t)h.next();
            mask.push_back(density == 0   ? bits & (uint32_t)h.next() & (uint32_t)h.next()
                           : density == 1 ? bits
                                          : ~0u);
        }
    }
    if (mask.empty()) mask.push_back(0);
    std::vector<int32_t> row_tok(c.n_rows), row_seq(c.n_rows), row_target(c.n_rows);
    std::vector<float> want = h.random_values<float>((size_t)c.n_rows * c.vocab);
    Buffer<float> logits(want);
    for (uint32_t r = 0; r < c.n_rows; r++) {
        const bool idle = h.below(8) == 0;
        row_tok[r] = idle ? -1 : (int32_t)r;
        row_seq[r] = idle ? -1 : (int32_t)h.below(c.n_seq);
        row_target[r] = idle || h.below(4) ? -1 : 3;
        if (idle || row_target[r] >= 0 || !(seq[row_seq[r]].flags & PGD_PLAN_MASK)) continue;
        for (uint32_t id = 0; id < c.vocab; id++)
            if (!(mask[first[row_seq[r]] + id / 32] >> id % 32 & 1))
                want[(size_t)r * c.vocab + id] = -INFINITY;
    }
    Buffer<int32_t> d_tok(row_tok), d_seq(row_seq), d_target(row_target);
    Buffer<pgd_plan_seq> d_plan(seq);
    Buffer<uint32_t> d_mask(mask);
    pgd_k_logits_mask a = {};
    a.logits = logits.get();
    a.row_tok = d_tok.get(), a.row_seq = d_seq.get(), a.row_target = d_target.get();
    a.seq = d_plan.get(), a.mask = d_mask.get();
    a.n_rows = c.n_rows, a.vocab = c.vocab;
    CUDA_OK(pgd_k_run_logits_mask(&a, h.stream));
    h.sync();
    const std::vector<float> got = logits.download();
    h.same("masked logits", got.data(), want.data(), want.size() * sizeof(float));
    h.check(logits.guards_intact(), "memory around the logits");
}

template <typename T> static void check_fill(Harness &h, pgd_dtype type, size_t n) {
    Buffer<T> out(n);
    pgd_k_fill a = {};
    a.dst = out.get(), a.type = type, a.n = n;
    CUDA_OK(pgd_k_run_fill(&a, h.stream));
    h.sync();
    std::vector<T> want(n);
    uint64_t state = 1;
    for (auto &w : want) {
        uint64_t z = state += 0x9E3779B97F4A7C15ULL;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
        z ^= z >> 31;
        w = Harness::from_host<T>((float)((int64_t)(z >> 40) - (1 << 23)) / (float)(1 << 23));
    }
    const std::vector<T> got = out.download();
    h.same("dummy values", got.data(), want.data(), n * sizeof(T));
    h.check(out.guards_intact(), "memory around dummy values");
}

int main(int argc, char **argv) {
    Harness h(argc, argv);
    const MaskCase cases[] = {{1, 1, 8192, 100}, {5, 3, 260, 60},       {64, 64, 8191, 50},
                              {64, 300, 33, 90}, {256, 700, 40000, 30}, {7, 7, 128256, 100}};
    for (const auto &c : cases)
        if (!h.quick || c.vocab < 10000) check_mask(h, c);
    check_fill<float>(h, PGD_F32, 1001);
    check_fill<__nv_bfloat16>(h, PGD_BF16, 70001);
    if (!h.quick) check_fill<__half>(h, PGD_F16, 3000000);
    if (h.bench) {
        const uint32_t rows = 64, vocab = 128256;
        std::vector<int32_t> tok(rows), target(rows, -1);
        std::vector<pgd_plan_seq> seq(rows);
        for (uint32_t r = 0; r < rows; r++) {
            tok[r] = (int32_t)r;
            seq[r] = {};
            seq[r].flags = PGD_PLAN_SAMPLE | PGD_PLAN_MASK;
        }
        Buffer<int32_t> d_tok(tok), d_target(target);
        Buffer<pgd_plan_seq> d_plan(seq);
        Buffer<uint32_t> mask(std::vector<uint32_t>(rows * (vocab / 32), 1));
        Buffer<float> logits((size_t)rows * vocab);
        pgd_k_logits_mask a = {};
        a.logits = logits.get();
        a.row_tok = a.row_seq = d_tok.get(), a.row_target = d_target.get();
        a.seq = d_plan.get(), a.mask = mask.get();
        a.n_rows = rows, a.vocab = vocab;
        const double us = h.time_us([&](int) { CUDA_OK(pgd_k_run_logits_mask(&a, h.stream)); });
        h.report("logits_mask", "64 rows of 128256, few allowed", us, rows * vocab * 4.0, 0);
    }
    return h.finish();
}
