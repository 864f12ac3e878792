/* Attention against float64, and its kernels against each other bit for bit.
 *
 * Golden rows come from variant 0 with every sequence in one piece; they are checked against
 * float64 (all rows of short sequences, every 37th and those at the edges of units of long ones).
 * Whatever kernel, batch and chunking computes a row must then reproduce the golden bits. Memory of
 * pages that no position has been written to is NaN. Tolerance, for weights w that sum to 1 and u
 * half a unit in the last place of the type: u sum w|v| (rounding of P) + u |o| (of the output) +
 * 2^-12 sum w|v| (f32 scores and sums), and for f16 what lies below its smallest normal number. */
#include "attn_case.cuh"

/* --- checks --- */

static const std::vector<uint32_t> kLengths = {1,   2,   15,  16,  17,   63,   64,  65,
                                               127, 511, 512, 513, 1000, 1025, 4100};
static const std::vector<uint32_t> kQuickLengths = {1, 17, 64, 65, 513, 1025};

template <typename T> static std::vector<Entry> last_tokens(const Case<T> &c, uint32_t n_new) {
    std::vector<Entry> e;
    for (uint32_t s = 0; s < c.len.size(); s++)
        if (c.len[s] >= n_new) e.push_back({s, c.len[s] - n_new, n_new});
    return e;
}

static std::vector<Entry> chunks_of(uint32_t slot, uint32_t len, uint32_t size, uint32_t from = 0) {
    std::vector<Entry> e;
    for (uint32_t at = from; at < len; at += size)
        e.push_back({slot, at, std::min(size, len - at)});
    return e;
}

/* What every shape goes through. */
template <typename T> static void check_shape(Case<T> &c) {
    c.make_golden();
    const uint32_t last = (uint32_t)c.len.size() - 1;
    std::vector<Entry> all;
    for (uint32_t s = 0; s <= last; s++)
        all.push_back({s, 0, c.len[s]});
    c.stage(all, 3);
    c.step(AttnRoute::prefill, "whole sequences");
    c.step(AttnRoute::automatic, "whole sequences");
    for (uint32_t n_new = 1; n_new <= 4; n_new++) {
        c.stage(last_tokens(c, n_new), n_new);
        c.step(AttnRoute::decode, "last tokens");
        c.step(AttnRoute::team, "last tokens");
        c.step(AttnRoute::generic, "last tokens");
        if (n_new == 1) c.step(AttnRoute::prefill, "last tokens");
    }
    c.tickets_clean();
    /* a mixed step: decode, prefill with and without prefix, padded sequences between them */
    std::vector<Entry> mixed;
    for (uint32_t s = 0; s <= last; s++) {
        const uint32_t n = c.len[s], n_new = s % 3 == 0 ? 1 : s % 3 == 1 ? (n + 1) / 2 : n;
        mixed.push_back({s, n - n_new, n_new});
        if (s % 4 == 0) mixed.push_back({0, 77, 0});
    }
    c.stage(mixed, 5);
    c.step(AttnRoute::automatic, "mixed step");
    c.step(AttnRoute::automatic, "mixed step, three times", 3);
    c.tickets_clean();
    c.guards();
}

/* Chunkings, every position by decode, alone and in company, room for partials. */
template <typename T> static void check_company(Harness &h, Case<T> &c) {
    const uint32_t last = (uint32_t)c.len.size() - 1;
    const uint32_t longest = c.len[last], middle = c.len[last - 1];
    for (uint32_t size : {7u, 64u, 100u, 700u}) {
        c.stage(chunks_of(last, longest, size), 0);
        char what[64];
        snprintf(what, sizeof what, "chunks of %u", size);
        c.step(AttnRoute::automatic, what);
        c.step(AttnRoute::generic, what);
    }
    c.stage(chunks_of(last - 1, middle, 1), 0);
    c.step(AttnRoute::automatic, "chunks of 1, all positions at once");
    c.step(AttnRoute::team, "chunks of 1, all positions at once");
    c.tickets_clean();
    c.stage(chunks_of(last, longest, 1, longest > 600 ? longest - 600 : 0), 0);
    c.step(AttnRoute::automatic, "chunks of 1, end of the longest sequence");
    for (uint32_t s = 0; s <= last; s++) {
        c.stage({{s, c.len[s] - 1, 1}}, 0);
        c.step(AttnRoute::automatic, "one token alone");
    }
    c.stage({{last, 0, longest}}, 0);
    c.step(AttnRoute::prefill, "one sequence alone");
    c.stage({{last, longest - 1, 1}, {0, 0, 0}, {last, 700 % longest, 1}, {0, 5, 0}}, 2);
    c.step(AttnRoute::automatic, "two of one sequence, padded", 100);
    c.tickets_clean();
    /* pages written exactly up to the chunk: what lies behind is NaN */
    for (uint32_t at = 0; at < middle; at += 333) {
        c.stage({{last - 1, at, std::min(333u, middle - at)}}, 0);
        c.step(AttnRoute::automatic, "chunk by chunk");
    }
    h.check(true, "company");
}

/* The captured step serves other lengths, and equals the eager one. */
template <typename T> static void check_graph(Harness &h, Case<T> &c) {
    const uint32_t last = (uint32_t)c.len.size() - 1;
    const std::vector<Entry> a = last_tokens(c, 1);
    std::vector<Entry> b = a;
    for (Entry &e : b)
        e.kv_start /= 2;
    b[last].n_new = 0;
    c.stage(a, 0);
    c.write_pages(a);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CUDA_OK(cudaStreamBeginCapture(h.stream, cudaStreamCaptureModeThreadLocal));
    c.plan(AttnRoute::automatic);
    for (int layer = 0; layer < 3; layer++)
        c.run(AttnRoute::automatic, c.step_out->get());
    CUDA_OK(cudaStreamEndCapture(h.stream, &graph));
    CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
    for (int turn = 0; turn < 4; turn++) {
        c.stage(turn % 2 ? b : a, 0);
        c.step_out->poison();
        for (int i = 0; i < 3; i++)
            CUDA_OK(cudaGraphLaunch(exec, h.stream));
        c.compare(AttnRoute::automatic, turn % 2 ? "graph, other lengths" : "graph");
    }
    c.tickets_clean();
    CUDA_OK(cudaGraphExecDestroy(exec));
    CUDA_OK(cudaGraphDestroy(graph));
}

template <typename T> static void check_shapes(Harness &h) {
    const std::vector<uint32_t> dims = {64, 80, 96, 128, 256};
    const std::vector<uint32_t> groups = {1, 2, 3, 4, 5, 7, 8, 16};
    const std::vector<uint32_t> windows = {0, 1, 63, 64, 100, 1000};
    const bool half = TypeOf<T>::type == PGD_F16;
    uint32_t turn = 0;
    double worst = 0;
    for (uint32_t d : dims)
        for (uint32_t group : groups) {
            if ((half || h.quick) && group != 1 && group != 4 && group != 7) continue;
            const std::vector<uint32_t> &lengths = h.quick ? kQuickLengths : kLengths;
            Case<T> c(h, group, group > 8 ? 1 : 2, d, lengths, 4200);
            c.plan_window = c.window = windows[turn++ % windows.size()];
            check_shape(c);
            if (d == 128 && group == 4) {
                for (uint32_t w : windows) {
                    if (w == c.window) continue;
                    c.plan_window = c.window = w;
                    check_shape(c);
                }
            }
            if (group == 4 || (d == 128 && group == 7)) {
                c.plan_window = c.window = d == 128 ? 0 : c.window;
                c.make_golden();
                check_company(h, c);
                check_graph(h, c);
            }
            worst = std::max(worst, c.worst_ratio);
        }
    printf("%s: worst error %.3f of the tolerance\n", TypeOf<T>::name, worst);
}

/* Lists made for all keys, launches with narrower windows. */
static void check_windows_of_layers(Harness &h) {
    Case<__nv_bfloat16> c(h, 4, 2, 128, kQuickLengths, 1100);
    for (uint32_t w : {0u, 40u, 600u}) {
        c.window = w;
        c.plan_window = w;
        c.make_golden();
        c.plan_window = 0;
        c.stage(last_tokens(c, 1), 0);
        c.step(AttnRoute::automatic, "plan without window", 2);
        c.stage(chunks_of(5, 1025, 1), 0);
        c.step(AttnRoute::automatic, "plan without window, every position");
        c.step(AttnRoute::team, "plan without window, every position");
        c.tickets_clean();
    }
}

/* Many sequences over few pages: no room for all partials. */
static void check_no_room(Harness &h) {
    const uint32_t n = 40;
    Case<__nv_bfloat16> c(h, 4, 2, 128, {2500}, n, 0, 1);
    c.make_golden();
    std::vector<Entry> e;
    for (uint32_t i = 0; i < n; i++)
        e.push_back({0, 2499 - 13 * i, 1});
    c.stage(e, 0);
    c.step(AttnRoute::automatic, "no room for partials", 2);
    c.step(AttnRoute::team, "no room for partials", 2);
    c.tickets_clean();
    c.guards();
    Case<__half> f(h, 16, 1, 256, {2500}, n, 0, 1);
    f.make_golden();
    f.stage(e, 0);
    f.step(AttnRoute::automatic, "no room for partials", 2);
}

/* 128k keys, pages spread over 4 GB. */
static void check_long(Harness &h) {
    const uint32_t n = 131072;
    Case<__nv_bfloat16> c(h, 4, 1, 128, {n}, 8, 2 << 20);
    const Entry e = {0, n - 1, 1};
    c.stage({e}, 0);
    c.plan(AttnRoute::generic);
    c.golden->poison();
    c.run(AttnRoute::generic, c.golden->get() + (size_t)(n - 1) * c.heads * c.d);
    h.sync();
    c.check({{n - 1, 0, n - 1}}, c.golden->get(), "128k keys, against float64");
    c.step(AttnRoute::decode, "128k keys", 2);
    c.step(AttnRoute::team, "128k keys", 2);
    c.step(AttnRoute::prefill, "128k keys");
    printf("128k keys: worst error %.3f of the tolerance\n", c.worst_ratio);
}

/* --- bench: Llama-8B's heads --- */

/* The pool is one layer's in a server: at most 4 GB, of which a step's pages are any. A step that
 * needs more pages than that reads some of them twice, by other sequences. */
struct Bench {
    static constexpr uint32_t kHeads = 32, kKvHeads = 8, kDim = 128;
    static constexpr uint64_t kPoolBytes = 4ULL << 30;
    uint64_t page_bytes = page_layer_bytes(kKvHeads, kDim);
    uint32_t pool_pages = (uint32_t)(kPoolBytes / page_bytes);
    std::unique_ptr<Buffer<char>> pool;

    explicit Bench(Harness &harness) : h(harness), pool(new Buffer<char>(kPoolBytes)) {
        printf("BENCH attn pool %.1f GB, %u pages of %llu KB; chunks of %u keys\n",
               (double)kPoolBytes * 0x1p-30, pool_pages, (unsigned long long)page_bytes / 1024,
               kChunk);
        fill_random<<<4096, 256, 0, h.stream>>>((__nv_bfloat16 *)pool->get(), kPoolBytes / 2, 7,
                                                1.0f);
        h.sync();
    }
    /* batch sequences with n_new tokens each behind prefix keys */
    void run(const char *kernel, AttnRoute route, uint32_t batch, uint32_t prefix, uint32_t n_new) {
        const uint32_t len = prefix + n_new, pages = ceil_div(len, kPageTokens);
        pgd_k_attn_limits limits = {batch,  batch * n_new, pages, batch * pages,
                                    kHeads, kKvHeads,      kDim,  PGD_BF16};
        CUDA_OK(pgd_k_attn_init(&limits));
        /* a table for each call in turn, from one shuffled pool, so that caches hold nothing */
        const size_t need = (size_t)batch * pages;
        const uint32_t turns =
            (uint32_t)std::max<size_t>(1, std::min<size_t>(16, pool_pages / need));
        std::vector<int32_t> order(pool_pages), ids(turns * need);
        for (uint32_t i = 0; i < pool_pages; i++)
            order[i] = (int32_t)i;
        for (uint32_t i = pool_pages; i > 1; i--)
            std::swap(order[i - 1], order[h.below(i)]);
        for (size_t i = 0; i < ids.size(); i++)
            ids[i] = order[i % pool_pages];
        std::vector<pgd_plan_seq> list(batch);
        for (uint32_t i = 0; i < batch; i++)
            list[i] = {i, i * n_new, n_new, prefix, 0, -1};
        Buffer<int32_t> table(ids);
        Buffer<pgd_plan_seq> seqs(list);
        Buffer<char> space(pgd_k_attn_space(&limits));
        Buffer<__nv_bfloat16> q((size_t)batch * n_new * kHeads * kDim), out(q.size());
        fill_random<<<1024, 256, 0, h.stream>>>(q.get(), q.size(), 3, 2.0f);
        pgd_k_attn_plan plan = {seqs.get(), space.get(), &limits, batch, batch * n_new, n_new, 0};
        CUDA_OK(attn_plan_by(route, &plan, h.stream));
        h.sync();
        const double pairs = (double)batch * ((double)prefix * n_new + 0.5 * n_new * (n_new + 1.0));
        const double bytes = (double)batch * len * kKvHeads * kDim * 4;
        const double flops = 4.0 * kDim * kHeads * pairs;
        const int calls = bytes > 2e9 || flops > 1e11 ? 4 : 20;
        const double us = h.time_us(
            [&](int i) {
                pgd_k_attn a = {q.get(),
                                out.get(),
                                pool->get(),
                                seqs.get(),
                                table.get() + (size_t)(i % (int)turns) * need,
                                space.get(),
                                &limits,
                                page_bytes,
                                batch,
                                batch * n_new,
                                n_new,
                                0,
                                pages,
                                1.0f / sqrtf((float)kDim)};
                CUDA_OK(attn_run_by(route, &a, h.stream));
            },
            calls);
        char shape[64];
        snprintf(shape, sizeof shape, "batch %u, %u new after %u", batch, n_new, prefix);
        h.report(kernel, shape, us, n_new == 1 ? bytes : 0, n_new == 1 ? 0 : flops);
    }

  private:
    Harness &h;
};

static void bench(Harness &h) {
    h.read_ceiling();
    Bench b(h);
    for (uint32_t ctx : {1024u, 2048u, 8192u, 32768u})
        for (uint32_t batch : {1u, 4u, 8u, 16u, 64u, 256u}) {
            b.run("attn decode", AttnRoute::decode, batch, ctx - 1, 1);
            b.run("attn team", AttnRoute::team, batch, ctx - 1, 1);
        }
    b.run("attn decode", AttnRoute::decode, 1, 131071, 1);
    b.run("attn team", AttnRoute::team, 1, 131071, 1);
    for (AttnRoute route : {AttnRoute::generic, AttnRoute::prefill}) {
        const std::string text = std::string("attn ") + route_name(route);
        const char *const name = text.c_str();
        for (uint32_t n : {1024u, 2048u, 8192u})
            b.run(name, route, 1, 0, n);
        b.run(name, route, 1, 8192, 512);
        b.run(name, route, 1, 6144, 2048);
        b.run(name, route, 16, 0, 512);
    }
}

int main(int argc, char **argv) {
    setvbuf(stdout, nullptr, _IOLBF, 0); /* a hang shall not hide what came before */
    Harness h(argc, argv);
    check_shapes<__nv_bfloat16>(h);
    check_shapes<__half>(h);
    check_windows_of_layers(h);
    check_no_room(h);
    if (!h.quick) check_long(h);
    if (h.bench) bench(h);
    return h.finish();
}
