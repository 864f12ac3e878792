/* slots_apply and step_fill against sequential host code that does what src/device/cpu/op_state.c
 * and src/exec/slots.c do, over random plans: everything must be equal, byte for byte. */
#include "harness.cuh"

#include <string>

static std::string label(const char *fmt, ...) {
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return text;
}

/* --- host copies of the slots --- */

struct HostSlots {
    uint32_t max_slots, max_pages, vocab;
    std::vector<int32_t> page_table, last_token;
    std::vector<pgd_sampling> sampling;
    std::vector<uint32_t> n_prompt, n_bias;
    std::vector<uint16_t> counts;
    std::vector<pgd_bias> bias;

    HostSlots(uint32_t slots, uint32_t pages, uint32_t vocab_size)
        : max_slots(slots), max_pages(pages), vocab(vocab_size),
          page_table((size_t)slots * pages, 0x7777), last_token(slots), sampling(slots),
          n_prompt(slots, 0x8888), n_bias(slots, 0x9999),
          counts((size_t)slots * vocab_size, 0xabcd), bias((size_t)slots * PGD_MAX_BIAS) {
        memset(sampling.data(), 0x55, slots * sizeof(pgd_sampling));
        memset(bias.data(), 0x66, bias.size() * sizeof(pgd_bias));
        for (uint32_t i = 0; i < slots; i++)
            last_token[i] = (int32_t)(1000 + i);
    }
};

struct DeviceSlots {
    Buffer<int32_t> page_table, last_token;
    Buffer<pgd_sampling> sampling;
    Buffer<uint32_t> n_prompt, n_bias;
    Buffer<uint16_t> counts;
    Buffer<pgd_bias> bias;
    pgd_slots view;

    explicit DeviceSlots(const HostSlots &s)
        : page_table(s.page_table), last_token(s.last_token), sampling(s.sampling),
          n_prompt(s.n_prompt), n_bias(s.n_bias), counts(s.counts), bias(s.bias) {
        view = {s.max_slots,    s.max_pages,    s.vocab,      page_table.get(), last_token.get(),
                sampling.get(), n_prompt.get(), counts.get(), bias.get(),       n_bias.get()};
    }
    bool guards_intact() const {
        return page_table.guards_intact() && last_token.guards_intact() &&
               sampling.guards_intact() && n_prompt.guards_intact() && n_bias.guards_intact() &&
               counts.guards_intact() && bias.guards_intact();
    }
};

template <typename T>
static void equal(Harness &h, const std::string &what, const std::vector<T> &got,
                  const std::vector<T> &want) {
    h.same(what.c_str(), got.data(), want.data(), want.size() * sizeof(T));
}

static void compare(Harness &h, const std::string &what, const DeviceSlots &d, const HostSlots &s) {
    equal(h, what + ": page_table", d.page_table.download(), s.page_table);
    equal(h, what + ": last_token", d.last_token.download(), s.last_token);
    equal(h, what + ": sampling", d.sampling.download(), s.sampling);
    equal(h, what + ": n_prompt", d.n_prompt.download(), s.n_prompt);
    equal(h, what + ": n_bias", d.n_bias.download(), s.n_bias);
    equal(h, what + ": counts", d.counts.download(), s.counts);
    equal(h, what + ": bias", d.bias.download(), s.bias);
    h.check(d.guards_intact(), (what + ": guards of the slots").c_str());
}

/* --- plans --- */

struct Limits {
    uint32_t n_seq, max_new, n_init, n_table, history;
    bool decode; /* one token each, all late */
};

/* The blob, in 8-byte words. */
struct Plan {
    std::vector<uint64_t> words;
    unsigned char *at(uint32_t off) { return (unsigned char *)words.data() + off; }
    const pgd_plan &head() const { return *(const pgd_plan *)words.data(); }
    uint32_t reserve(size_t bytes) {
        const uint32_t off = (uint32_t)words.size() * 8;
        words.resize(words.size() + (bytes + 7) / 8, 0xeeeeeeeeeeeeeeeeULL);
        return off;
    }
};

static std::vector<uint32_t> distinct_slots(Harness &h, uint32_t n, uint32_t of) {
    std::vector<uint32_t> all(of);
    for (uint32_t i = 0; i < of; i++)
        all[i] = i;
    for (uint32_t i = 0; i < n; i++)
        std::swap(all[i], all[i + h.below(of - i)]);
    all.resize(n);
    return all;
}

static void write_inits(Harness &h, Plan &p, uint32_t off, const Limits &l, const HostSlots &s) {
    const std::vector<uint32_t> slots = distinct_slots(h, l.n_init, s.max_slots);
    for (uint32_t i = 0; i < l.n_init; i++) {
        pgd_plan_init in = {};
        for (uint32_t k = 0; k < sizeof in.sampling / 4; k++)
            ((uint32_t *)&in.sampling)[k] = (uint32_t)h.next();
        in.sampling.flags = h.below(8);
        in.slot = slots[i];
        in.n_bias = h.below(3) ? h.below(40) : h.below(2) * PGD_MAX_BIAS;
        in.off_bias = p.reserve(in.n_bias * sizeof(pgd_bias));
        for (uint32_t k = 0; k < in.n_bias; k++)
            ((pgd_bias *)p.at(in.off_bias))[k] = {(int32_t)h.below(s.vocab), h.uniform()};
        in.n_history = in.sampling.flags & PGD_SAMPLE_PENALTIES ? h.below(l.history + 1) : 0;
        in.n_prompt = in.n_history ? h.below(in.n_history + 1) : h.below(1000);
        in.off_history = p.reserve(in.n_history * sizeof(int32_t));
        const uint32_t few = h.below(2) ? s.vocab : std::min(s.vocab, 3u); /* many repeats */
        for (uint32_t k = 0; k < in.n_history; k++)
            ((int32_t *)p.at(in.off_history))[k] = (int32_t)h.below(few);
        memcpy(p.at(off) + i * sizeof in, &in, sizeof in);
    }
}

static void write_tables(Harness &h, Plan &p, uint32_t off, const Limits &l, const HostSlots &s) {
    for (uint32_t i = 0; i < l.n_table; i++) {
        pgd_plan_table t = {h.below(s.max_slots), h.below(s.max_pages), 0, 0};
        t.n = h.below(4) ? std::min(h.below(3), s.max_pages - t.first)
                         : h.below(s.max_pages - t.first + 1);
        t.off_pages = p.reserve(t.n * sizeof(int32_t));
        for (uint32_t k = 0; k < t.n; k++)
            ((int32_t *)p.at(t.off_pages))[k] = (int32_t)h.below(100000);
        memcpy(p.at(off) + i * sizeof t, &t, sizeof t);
    }
}

static Plan random_plan(Harness &h, const Limits &l, const HostSlots &s) {
    std::vector<pgd_plan_seq> seq;
    std::vector<int32_t> ids;
    for (uint32_t slot : distinct_slots(h, l.n_seq, s.max_slots)) {
        pgd_plan_seq q = {slot, (uint32_t)ids.size(), 1, h.below(100000), 0, -1};
        if (!l.decode) q.n_new = h.below(3) ? 1 + h.below(3) : 1 + h.below(l.max_new);
        q.flags = l.decode ? PGD_PLAN_SAMPLE | PGD_PLAN_LATE_ID : h.below(8);
        if (q.flags & PGD_PLAN_SCORE && !(q.flags & PGD_PLAN_SAMPLE) && h.below(2))
            q.score_next = (int32_t)h.below(s.vocab);
        for (uint32_t j = 0; j < q.n_new; j++)
            ids.push_back(j == 0 && q.flags & PGD_PLAN_LATE_ID ? -1 : (int32_t)h.below(s.vocab));
        seq.push_back(q);
    }
    Plan p;
    pgd_plan head = {};
    head.magic = PGD_PLAN_MAGIC;
    head.version = PGD_PLAN_VERSION;
    head.n_seq = l.n_seq;
    head.n_tok = (uint32_t)ids.size();
    head.n_init = l.n_init;
    head.n_table = l.n_table;
    p.reserve(sizeof head);
    head.off_seq = p.reserve(seq.size() * sizeof(pgd_plan_seq));
    head.off_ids = p.reserve(ids.size() * sizeof(int32_t));
    head.off_init = p.reserve(l.n_init * sizeof(pgd_plan_init));
    head.off_table = p.reserve(l.n_table * sizeof(pgd_plan_table));
    head.off_copy = head.off_aux = p.reserve(0);
    if (!seq.empty()) memcpy(p.at(head.off_seq), seq.data(), seq.size() * sizeof(pgd_plan_seq));
    if (!ids.empty()) memcpy(p.at(head.off_ids), ids.data(), ids.size() * sizeof(int32_t));
    write_inits(h, p, head.off_init, l, s);
    write_tables(h, p, head.off_table, l, s);
    head.bytes = (uint32_t)p.words.size() * 8;
    memcpy(p.at(0), &head, sizeof head);
    return p;
}

/* --- references --- */

static void apply_reference(HostSlots &s, Plan &p) {
    const pgd_plan head = p.head();
    for (uint32_t i = 0; i < head.n_init; i++) {
        const pgd_plan_init in = ((const pgd_plan_init *)p.at(head.off_init))[i];
        s.sampling[in.slot] = in.sampling;
        s.n_prompt[in.slot] = in.n_prompt;
        s.n_bias[in.slot] = in.n_bias;
        memcpy(s.bias.data() + (size_t)in.slot * PGD_MAX_BIAS, p.at(in.off_bias),
               in.n_bias * sizeof(pgd_bias));
        if (!(in.sampling.flags & PGD_SAMPLE_PENALTIES)) continue;
        uint16_t *counts = s.counts.data() + (size_t)in.slot * s.vocab;
        memset(counts, 0, s.vocab * 2);
        for (uint32_t k = 0; k < in.n_history; k++) {
            uint16_t *c = counts + ((const int32_t *)p.at(in.off_history))[k];
            if (k < in.n_prompt)
                *c |= 0x8000;
            else if ((*c & 0x7fff) < 0x7fff)
                (*c)++;
        }
    }
    for (uint32_t i = 0; i < head.n_table; i++) {
        const pgd_plan_table t = ((const pgd_plan_table *)p.at(head.off_table))[i];
        memcpy(s.page_table.data() + (size_t)t.slot * s.max_pages + t.first, p.at(t.off_pages),
               t.n * sizeof(int32_t));
    }
}

struct Filled {
    std::vector<pgd_plan_seq> seq;
    std::vector<int32_t> ids, pos, tok_seq, row_tok, row_seq, row_target;
};

static Filled fill_reference(const HostSlots &s, Plan &p) {
    const pgd_plan head = p.head();
    const pgd_plan_seq *seq = (const pgd_plan_seq *)p.at(head.off_seq);
    const int32_t *ids = (const int32_t *)p.at(head.off_ids);
    Filled f;
    for (uint32_t i = 0; i < head.n_seq; i++) {
        const pgd_plan_seq &q = seq[i];
        const uint32_t last = q.n_new - 1;
        f.seq.push_back(q);
        for (uint32_t j = 0; j < q.n_new; j++) {
            const bool late = j == 0 && q.flags & PGD_PLAN_LATE_ID;
            f.ids.push_back(late ? s.last_token[q.slot] : ids[q.q_start + j]);
            f.pos.push_back((int32_t)(q.kv_start + j));
            f.tok_seq.push_back((int32_t)i);
        }
        for (uint32_t j = q.flags & PGD_PLAN_SCORE ? 0 : last; j <= last; j++) {
            const bool samples = j == last && q.flags & PGD_PLAN_SAMPLE;
            const int32_t next = j < last ? ids[q.q_start + j + 1] : q.score_next;
            if (!samples && next < 0) continue;
            f.row_tok.push_back((int32_t)(q.q_start + j));
            f.row_seq.push_back((int32_t)i);
            f.row_target.push_back(samples ? -1 : next);
        }
    }
    return f;
}

static void check_plan(Harness &h, const Limits &l, HostSlots &s) {
    const std::string what = label("seqs %u, new <= %u, inits %u, diffs %u, vocab %u", l.n_seq,
                                   l.max_new, l.n_init, l.n_table, s.vocab);
    Plan p = random_plan(h, l, s);
    const pgd_plan head = p.head();
    DeviceSlots slots(s);
    Buffer<uint64_t> plan(p.words);
    const pgd_k_slots_apply apply = {plan.get(),   slots.view,    head.n_init,
                                     head.n_table, head.off_init, head.off_table};
    CUDA_OK(pgd_k_run_slots_apply(&apply, h.stream));
    h.sync();
    apply_reference(s, p);
    compare(h, "slots_apply " + what, slots, s);

    Filled want = fill_reference(s, p);
    const uint32_t n_tok = (uint32_t)want.ids.size() + h.below(600);
    const uint32_t n_seq = head.n_seq + h.below(300);
    const uint32_t n_rows = (uint32_t)want.row_tok.size() + h.below(600);
    pgd_plan_seq none = {};
    none.score_next = -1;
    want.seq.resize(n_seq, none);
    for (auto *v : {&want.ids, &want.pos, &want.tok_seq})
        v->resize(n_tok, -1);
    for (auto *v : {&want.row_tok, &want.row_seq, &want.row_target})
        v->resize(n_rows, -1);
    Buffer<pgd_plan_seq> seq(n_seq);
    Buffer<int32_t> ids(n_tok), pos(n_tok), tok_seq(n_tok), row_tok(n_rows), row_seq(n_rows),
        row_target(n_rows);
    const pgd_k_step_fill fill = {plan.get(),       slots.view,    seq.get(),     ids.get(),
                                  pos.get(),        tok_seq.get(), row_tok.get(), row_seq.get(),
                                  row_target.get(), n_tok,         n_seq,         n_rows};
    for (int graph = 0; graph < 2; graph++) {
        const std::string name = (graph ? "step_fill in a graph, " : "step_fill ") + what;
        if (graph) {
            cudaGraph_t g;
            cudaGraphExec_t exec;
            for (auto *b : {&ids, &pos, &tok_seq, &row_tok, &row_seq, &row_target})
                b->poison();
            CUDA_OK(cudaStreamBeginCapture(h.stream, cudaStreamCaptureModeThreadLocal));
            CUDA_OK(pgd_k_run_step_fill(&fill, h.stream));
            CUDA_OK(cudaStreamEndCapture(h.stream, &g));
            CUDA_OK(cudaGraphInstantiate(&exec, g, 0));
            CUDA_OK(cudaGraphLaunch(exec, h.stream));
            h.sync();
            CUDA_OK(cudaGraphExecDestroy(exec));
            CUDA_OK(cudaGraphDestroy(g));
        } else {
            CUDA_OK(pgd_k_run_step_fill(&fill, h.stream));
            h.sync();
        }
        equal(h, name + ": seq", seq.download(), want.seq);
        equal(h, name + ": ids", ids.download(), want.ids);
        equal(h, name + ": pos", pos.download(), want.pos);
        equal(h, name + ": tok_seq", tok_seq.download(), want.tok_seq);
        equal(h, name + ": row_tok", row_tok.download(), want.row_tok);
        equal(h, name + ": row_seq", row_seq.download(), want.row_seq);
        equal(h, name + ": row_target", row_target.download(), want.row_target);
        for (auto *b : {&ids, &pos, &tok_seq, &row_tok, &row_seq, &row_target})
            h.check(b->guards_intact(), (name + ": guards").c_str());
        h.check(seq.guards_intact(), (name + ": guards of seq").c_str());
    }
}

/* A token generated more often than 15 bits can tell, marked as a prompt token too. */
static void check_saturation(Harness &h) {
    HostSlots s(4, 4, 11);
    const uint32_t n_history = 70000;
    Plan p;
    pgd_plan head = {};
    head.n_init = 1;
    p.reserve(sizeof head);
    head.off_init = p.reserve(sizeof(pgd_plan_init));
    pgd_plan_init in = {};
    in.slot = 2;
    in.n_prompt = 1;
    in.n_history = n_history;
    in.sampling.flags = PGD_SAMPLE_PENALTIES;
    in.off_history = p.reserve(n_history * 4);
    for (uint32_t i = 0; i < n_history; i++)
        ((int32_t *)p.at(in.off_history))[i] = i % 7 == 6 ? 9 : 10;
    in.off_bias = in.off_history;
    memcpy(p.at(head.off_init), &in, sizeof in);
    memcpy(p.at(0), &head, sizeof head);
    DeviceSlots slots(s);
    Buffer<uint64_t> plan(p.words);
    const pgd_k_slots_apply apply = {plan.get(), slots.view, 1, 0, head.off_init, 0};
    CUDA_OK(pgd_k_run_slots_apply(&apply, h.stream));
    h.sync();
    apply_reference(s, p);
    compare(h, "slots_apply of 70000 repeats", slots, s);
}

static void bench_fill(Harness &h) {
    HostSlots s(512, 128, 1000);
    Plan p = random_plan(h, {256, 1, 0, 0, 0, true}, s);
    DeviceSlots slots(s);
    Buffer<uint64_t> plan(p.words);
    Buffer<pgd_plan_seq> seq(256);
    Buffer<int32_t> out((size_t)6 * 256);
    const pgd_k_step_fill fill = {plan.get(),
                                  slots.view,
                                  seq.get(),
                                  out.get(),
                                  out.get() + 256,
                                  out.get() + 512,
                                  out.get() + 768,
                                  out.get() + 1024,
                                  out.get() + 1280,
                                  256,
                                  256,
                                  256};
    const double us = h.time_us([&](int) { CUDA_OK(pgd_k_run_step_fill(&fill, h.stream)); });
    h.report("step_fill", "256 sequences of 1 token", us, 0, 0);
}

int main(int argc, char **argv) {
    Harness h(argc, argv);
    for (uint32_t vocab : {1u, 17u, 32000u}) {
        HostSlots s(vocab == 17 ? 700 : 64, vocab == 17 ? 40 : 9, vocab);
        const uint32_t most = s.max_slots;
        check_plan(h, {0, 1, 0, 0, 0, false}, s);
        check_plan(h, {1, 1, 1, 1, 5, false}, s);
        check_plan(h, {1, 3000, 0, 1, 0, false}, s);
        check_plan(h, {std::min(most, 256u), 1, 0, 0, 0, true}, s);
        check_plan(h, {most, 1, 3, 70, 100, true}, s);
        for (int i = 0; i < (h.quick ? 3 : 25); i++)
            check_plan(h,
                       {1 + h.below(most), 1 + h.below(300), h.below(std::min(most, 20u)),
                        h.below(200), h.below(5000), false},
                       s);
    }
    check_saturation(h);
    if (h.bench) bench_fill(h);
    return h.finish();
}
