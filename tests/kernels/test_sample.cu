/* logits_post and sample against a sequential reference: processed logits, tokens, flags and top
 * ids exactly, logprobs within 2e-5, over every combination of parameters and shapes of logits;
 * the same bits alone, in another place of the batch and from a graph; draws distributed as softmax
 * says. */
#include "harness.cuh"

#include <string>

#include "sample_reference.cuh"

static std::string label(const char *fmt, ...) {
    char text[240];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return text;
}

/* --- logits --- */

enum Shape {
    NORMAL,
    FLAT,
    PEAKED,
    TIES,
    EQUAL,
    MASKED,  /* most at -inf */
    ALONE,   /* one finite token */
    EXTREME, /* up to 1e38 */
    ZEROS,   /* +0 and -0 on top */
    STEPS,   /* two values, many of each */
    WITH_NAN,
    WITH_INF,
    NOTHING, /* all at -inf */
    N_SHAPES
};
static const char *const kShapeNames[] = {"normal", "flat",  "peaked",  "ties",  "equal",
                                          "masked", "alone", "extreme", "zeros", "steps",
                                          "nan",    "inf",   "nothing"};

static float normal(Harness &h) {
    float sum = 0;
    for (int i = 0; i < 6; i++)
        sum += h.uniform();
    return sum / 1.41421356f;
}

static void fill_logits(Harness &h, Shape shape, float *x, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        switch (shape) {
        case FLAT:
            x[i] = h.uniform();
            break;
        case PEAKED:
            x[i] = normal(h) * 8;
            break;
        case TIES:
            x[i] = floorf(normal(h) * 6) / 2;
            break;
        case EQUAL:
            x[i] = 3.25f;
            break;
        case MASKED:
            x[i] = h.below(50) ? -INFINITY : normal(h) * 3;
            break;
        case ALONE:
        case NOTHING:
            x[i] = -INFINITY;
            break;
        case EXTREME:
            x[i] = h.below(4) ? normal(h) : h.uniform() * (h.below(2) ? 1e38f : 1e-38f);
            break;
        case ZEROS:
            x[i] = h.below(3) == 0 ? 0.0f : h.below(2) ? -0.0f : -1e-30f * (float)h.below(5);
            break;
        case STEPS:
            x[i] = h.below(2) ? 1.5f : -0.75f;
            break;
        default:
            x[i] = normal(h) * 3;
        }
    if (shape == ALONE) x[h.below(n)] = -2.5f;
    if (shape == WITH_NAN) x[h.below(n)] = NAN;
    if (shape == WITH_INF) x[h.below(n)] = INFINITY;
}

/* --- parameters --- */

static pgd_sampling random_sampling(Harness &h, uint32_t vocab, bool penalties) {
    pgd_sampling p = {};
    const float temperatures[] = {0.1f, 0.5f, 0.7f, 1.0f, 1.3f, 2.0f, 5.0f};
    p.temperature = temperatures[h.below(7)];
    p.top_p = 1;
    p.repetition_penalty = 1;
    p.flags = h.below(8) == 0 ? PGD_SAMPLE_GREEDY : 0;
    if (h.below(3) == 0) {
        p.flags |= PGD_SAMPLE_LOGPROBS;
        p.n_top = h.below(2) ? h.below(PGD_MAX_TOP_LOGPROBS + 1) : 20;
    }
    const uint32_t use = h.below(8); /* every combination of the three */
    if (use & 1) {
        const float top_p[] = {1e-6f, 0.05f, 0.5f, 0.8f, 0.9f, 0.95f, 0.999f, 0.9999999f};
        p.top_p = top_p[h.below(8)];
    }
    if (use & 2) {
        const int32_t top_k[] = {1, 2, 5, 20, 50, 400, (int32_t)vocab, (int32_t)(vocab / 2)};
        p.top_k = top_k[h.below(8)];
    }
    if (use & 4) {
        const float min_p[] = {1e-9f, 0.001f, 0.02f, 0.1f, 0.5f, 1.0f};
        p.min_p = min_p[h.below(6)];
    }
    p.seed = h.next();
    p.choice = h.below(4);
    if (penalties) {
        p.flags |= PGD_SAMPLE_PENALTIES;
        p.repetition_penalty = h.below(3) ? 1.0f + 0.3f * h.uniform() : 1.0f;
        p.presence_penalty = h.uniform();
        p.frequency_penalty = 0.3f * h.uniform();
    }
    if (h.below(3) == 0) {
        p.min_tokens = h.below(10);
        p.n_stop_ids = h.below(PGD_MAX_STOP_IDS + 1);
        for (uint32_t i = 0; i < p.n_stop_ids; i++)
            p.stop_ids[i] = (int32_t)h.below(vocab);
    }
    return p;
}

static std::string describe(const pgd_sampling &p, Shape shape, uint32_t vocab, uint32_t row) {
    return label("vocab %u row %u (%s): flags %u T %g top_p %.7g top_k %d min_p %g n_top %u", vocab,
                 row, kShapeNames[shape], p.flags, p.temperature, p.top_p, p.top_k, p.min_p,
                 p.n_top);
}

/* --- a batch of rows --- */

struct Batch {
    uint32_t vocab, n_rows;
    std::vector<float> logits;
    std::vector<Shape> shape;
    std::vector<int32_t> pos, row_tok, row_seq, row_target;
    std::vector<pgd_plan_seq> seq;
    /* by slot, one slot a row */
    std::vector<pgd_sampling> sampling;
    std::vector<uint32_t> n_prompt, n_bias;
    std::vector<uint16_t> counts;
    std::vector<pgd_bias> bias;
};

static Batch random_batch(Harness &h, uint32_t vocab, uint32_t n_rows, bool post) {
    Batch b;
    b.vocab = vocab;
    b.n_rows = n_rows;
    b.logits.resize((size_t)n_rows * vocab);
    b.counts.assign((size_t)n_rows * vocab, 0);
    b.bias.resize((size_t)n_rows * PGD_MAX_BIAS);
    for (uint32_t r = 0; r < n_rows; r++) {
        /* ordinary rows more often than odd ones */
        const Shape shape = (Shape)(h.below(2) ? h.below(PEAKED + 1) : h.below(N_SHAPES));
        fill_logits(h, shape, b.logits.data() + (size_t)r * vocab, vocab);
        b.shape.push_back(shape);
        const bool penalties = post && h.below(2);
        b.sampling.push_back(random_sampling(h, vocab, penalties));
        b.n_prompt.push_back(h.below(20));
        uint32_t n_bias = 0;
        if (post) n_bias = h.below(h.below(6) ? 30 : PGD_MAX_BIAS + 1);
        b.n_bias.push_back(n_bias);
        for (uint32_t i = 0; i < n_bias; i++) {
            const int32_t id =
                (int32_t)(h.below(4) ? h.below(vocab) : h.below(std::min(vocab, 9u)));
            b.bias[(size_t)r * PGD_MAX_BIAS + i] = {id, h.below(20) ? h.uniform() * 5 : -INFINITY};
        }
        for (uint32_t i = 0; penalties && i < std::max(vocab / 20, 3u); i++)
            b.counts[(size_t)r * vocab + h.below(vocab)] =
                (uint16_t)(h.below(9) == 0 ? 0x7fff : h.below(2) * 0x8000 + h.below(5));
        b.pos.push_back((int32_t)h.below(30));
        b.seq.push_back({n_rows - 1 - r, r, 1, 0, PGD_PLAN_SAMPLE, -1}); /* slots in reverse */
        b.row_tok.push_back((int32_t)r);
        b.row_seq.push_back((int32_t)r);
        b.row_target.push_back(h.below(5) ? -1 : (int32_t)h.below(vocab));
        if (r && h.below(12) == 0) /* a padded row, as it could stand anywhere */
            b.row_tok[r] = b.row_seq[r] = b.row_target[r] = -1;
    }
    return b;
}

static uint32_t slot_of(const Batch &b, uint32_t r) {
    return b.n_rows - 1 - r;
}

struct Results {
    std::vector<float> logits;
    std::vector<pgd_sample_out> sample;
    std::vector<pgd_score_out> score;
    std::vector<int32_t> last_token;
    std::vector<uint16_t> counts;
};

/* Buffers of a batch on the device, and the arguments over them. */
struct DeviceBatch {
    Buffer<float> logits;
    Buffer<int32_t> pos, row_tok, row_seq, row_target, last_token;
    Buffer<pgd_plan_seq> seq;
    Buffer<pgd_sampling> sampling;
    Buffer<uint32_t> n_prompt, n_bias;
    Buffer<uint16_t> counts;
    Buffer<pgd_bias> bias;
    Buffer<pgd_sample_out> sample;
    Buffer<pgd_score_out> score;
    Buffer<unsigned char> space;
    pgd_k_sample args = {};

    /* slots of vectors indexed by row are reversed, as slot_of says */
    template <typename T> static std::vector<T> by_slot(const std::vector<T> &v, size_t n_rows) {
        const size_t each = v.size() / n_rows;
        std::vector<T> out(v.size());
        for (size_t r = 0; r < n_rows; r++)
            std::copy(v.begin() + r * each, v.begin() + (r + 1) * each,
                      out.begin() + (n_rows - 1 - r) * each);
        return out;
    }

    explicit DeviceBatch(const Batch &b)
        : logits(b.logits), pos(b.pos), row_tok(b.row_tok), row_seq(b.row_seq),
          row_target(b.row_target), last_token(b.n_rows), seq(b.seq),
          sampling(by_slot(b.sampling, b.n_rows)), n_prompt(by_slot(b.n_prompt, b.n_rows)),
          n_bias(by_slot(b.n_bias, b.n_rows)), counts(by_slot(b.counts, b.n_rows)),
          bias(by_slot(b.bias, b.n_rows)), sample(b.n_rows), score(b.n_rows),
          space(pgd_k_sample_space(b.n_rows, b.vocab) + 1) {
        pgd_slots s = {};
        s.max_slots = b.n_rows;
        s.vocab_size = b.vocab;
        s.last_token = last_token.get();
        s.sampling = sampling.get();
        s.n_prompt = n_prompt.get();
        s.counts = counts.get();
        s.bias = bias.get();
        s.n_bias = n_bias.get();
        args = {logits.get(),
                pos.get(),
                row_tok.get(),
                row_seq.get(),
                row_target.get(),
                seq.get(),
                s,
                sample.get(),
                score.get(),
                space.get(),
                b.n_rows,
                b.vocab,
                0,
                0};
    }
    bool guards_intact() const {
        return logits.guards_intact() && last_token.guards_intact() && counts.guards_intact() &&
               sample.guards_intact() && score.guards_intact() && space.guards_intact();
    }
    Results results() const {
        return {logits.download(), sample.download(), score.download(), last_token.download(),
                counts.download()};
    }
};

static void run(Harness &h, const DeviceBatch &d, bool graph) {
    const auto launch = [&] {
        CUDA_OK(pgd_k_run_logits_post(&d.args, h.stream));
        CUDA_OK(pgd_k_run_sample(&d.args, h.stream));
    };
    if (!graph) {
        launch();
        h.sync();
        return;
    }
    cudaGraph_t g;
    cudaGraphExec_t exec;
    CUDA_OK(cudaStreamBeginCapture(h.stream, cudaStreamCaptureModeThreadLocal));
    launch();
    CUDA_OK(cudaStreamEndCapture(h.stream, &g));
    CUDA_OK(cudaGraphInstantiate(&exec, g, 0));
    CUDA_OK(cudaGraphLaunch(exec, h.stream));
    h.sync();
    CUDA_OK(cudaGraphExecDestroy(exec));
    CUDA_OK(cudaGraphDestroy(g));
}

static bool close_logprob(float got, float want) {
    if (isnan(want)) return isnan(got);
    if (isinf(want)) return got == want;
    return fabs((double)got - want) <= 2e-5 + fabs(want) * 0x1p-22;
}

static void check_top(Harness &h, const std::string &what, uint32_t got_n, const pgd_top *got,
                      uint32_t want_n, const pgd_top *want) {
    if (got_n != want_n) {
        h.fail("%s: n_top %u, expected %u", what.c_str(), got_n, want_n);
        return;
    }
    for (uint32_t i = 0; i < PGD_MAX_TOP_LOGPROBS; i++)
        if (got[i].id != want[i].id || !close_logprob(got[i].logprob, want[i].logprob)) {
            h.fail("%s: top[%u] is %d at %.9g, expected %d at %.9g", what.c_str(), i, got[i].id,
                   got[i].logprob, want[i].id, want[i].logprob);
            return;
        }
}

static void check_sample(Harness &h, const std::string &what, const pgd_sample_out &got,
                         const pgd_sample_out &want) {
    h.check(true, "");
    if (got.slot != want.slot || got.token != want.token || got.flags != want.flags)
        h.fail("%s: slot %u token %d flags %u, expected %u %d %u", what.c_str(), got.slot,
               got.token, got.flags, want.slot, want.token, want.flags);
    else if (!close_logprob(got.logprob, want.logprob))
        h.fail("%s: logprob %.9g, expected %.9g", what.c_str(), got.logprob, want.logprob);
    else
        check_top(h, what, got.n_top, got.top, want.n_top, want.top);
}

/* Bit for bit; which NaN is of no interest. */
static void check_logits(Harness &h, const std::string &what, const float *got,
                         const std::vector<float> &want) {
    h.check(true, "");
    for (size_t i = 0; i < want.size(); i++)
        if (ref_bits(got[i]) != ref_bits(want[i]) && !(isnan(got[i]) && isnan(want[i]))) {
            h.fail("%s: logit %zu is %.9g, expected %.9g", what.c_str(), i, got[i], want[i]);
            return;
        }
}

/* Compare with the reference, row by row. */
static void check_results(Harness &h, const Batch &b, const Results &got) {
    const size_t vocab = b.vocab;
    uint32_t n_sample = 0, n_score = 0;
    for (uint32_t r = 0; r < b.n_rows; r++) {
        const uint32_t slot = slot_of(b, r);
        const pgd_sampling &p = b.sampling[r];
        const std::string what = describe(p, b.shape[r], b.vocab, r);
        std::vector<float> x(b.logits.begin() + r * vocab, b.logits.begin() + (r + 1) * vocab);
        std::vector<uint16_t> counts(b.counts.begin() + r * vocab,
                                     b.counts.begin() + (r + 1) * vocab);
        int32_t last = -1; /* poison */
        const uint32_t position = (uint32_t)b.pos[r] + 1;
        if (b.row_tok[r] >= 0 && b.row_target[r] < 0) {
            ref_post(x.data(), b.vocab, &p, counts.data(), b.bias.data() + (size_t)r * PGD_MAX_BIAS,
                     b.n_bias[r], position, b.n_prompt[r]);
            const pgd_sample_out want = ref_sample({x.data(), b.vocab, &p, position}, slot);
            check_sample(h, what, got.sample[n_sample++], want);
            last = want.token;
            uint16_t &c = counts[want.token];
            if (p.flags & PGD_SAMPLE_PENALTIES && !want.flags && (c & 0x7fff) < 0x7fff) c++;
        } else if (b.row_tok[r] >= 0) {
            const pgd_score_out want =
                ref_score({x.data(), b.vocab, &p, position}, slot, (uint32_t)b.row_target[r]);
            const pgd_score_out &out = got.score[n_score++];
            h.check(true, "");
            if (out.slot != want.slot || out.position != want.position ||
                !close_logprob(out.logprob, want.logprob))
                h.fail("%s: scored slot %u position %u logprob %.9g, expected %u %u %.9g",
                       what.c_str(), out.slot, out.position, out.logprob, want.slot, want.position,
                       want.logprob);
            else
                check_top(h, what + ", scored", out.n_top, out.top, want.n_top, want.top);
        }
        check_logits(h, what, got.logits.data() + r * vocab, x);
        h.same((what + ": counts").c_str(), got.counts.data() + slot * vocab, counts.data(),
               vocab * 2);
        if (got.last_token[slot] != last)
            h.fail("%s: last_token %d, expected %d", what.c_str(), got.last_token[slot], last);
    }
    for (uint32_t i = n_sample; i < b.n_rows; i++)
        if (got.sample[i].slot != 0xffffffff)
            h.fail("vocab %u: sample_out[%u] written", b.vocab, i);
    for (uint32_t i = n_score; i < b.n_rows; i++)
        if (got.score[i].slot != 0xffffffff) h.fail("vocab %u: score_out[%u] written", b.vocab, i);
}

/* A row by itself, and with first_sample, first_score at other places. */
static void check_alone(Harness &h, const Batch &b, const Results &all, uint32_t row) {
    if (b.row_tok[row] < 0) return;
    DeviceBatch d(b);
    const std::string what = describe(b.sampling[row], b.shape[row], b.vocab, row) + ", alone";
    d.args.logits += (size_t)row * b.vocab;
    d.args.row_tok += row;
    d.args.row_seq += row;
    d.args.row_target += row;
    d.args.n_rows = 1;
    d.args.first_sample = b.n_rows - 1;
    d.args.first_score = b.n_rows / 2;
    run(h, d, false);
    uint32_t n_sample = 0, n_score = 0;
    for (uint32_t r = 0; r < row; r++) {
        n_sample += b.row_tok[r] >= 0 && b.row_target[r] < 0;
        n_score += b.row_tok[r] >= 0 && b.row_target[r] >= 0;
    }
    const Results got = d.results();
    if (b.row_target[row] < 0)
        h.same(what.c_str(), &got.sample[b.n_rows - 1], &all.sample[n_sample],
               sizeof(pgd_sample_out));
    else
        h.same(what.c_str(), &got.score[b.n_rows / 2], &all.score[n_score], sizeof(pgd_score_out));
    h.check(d.guards_intact(), (what + ": guards").c_str());
}

static void check_batch(Harness &h, uint32_t vocab, uint32_t n_rows, bool post) {
    const Batch b = random_batch(h, vocab, n_rows, post);
    DeviceBatch eager(b), graph(b);
    run(h, eager, false);
    run(h, graph, true);
    const Results got = eager.results(), replayed = graph.results();
    check_results(h, b, got);
    const std::string what = label("vocab %u, %u rows", vocab, n_rows);
    h.check(eager.guards_intact(), (what + ": guards").c_str());
    h.same((what + ": graph, samples").c_str(), replayed.sample.data(), got.sample.data(),
           n_rows * sizeof(pgd_sample_out));
    h.same((what + ": graph, scores").c_str(), replayed.score.data(), got.score.data(),
           n_rows * sizeof(pgd_score_out));
    h.same((what + ": graph, counts").c_str(), replayed.counts.data(), got.counts.data(),
           got.counts.size() * 2);
    for (int i = 0; i < 3; i++)
        check_alone(h, b, got, h.below(n_rows));
}

/* --- distribution --- */

/* A million draws of one row against its softmax, by chi-square. */
static void check_distribution(Harness &h, uint32_t vocab, uint32_t n_rows, uint32_t n_launches) {
    std::vector<float> row(vocab), logits;
    for (auto &x : row)
        x = h.uniform() * 2;
    for (uint32_t r = 0; r < n_rows; r++)
        logits.insert(logits.end(), row.begin(), row.end());
    pgd_sampling p = {};
    p.temperature = 0.8f;
    p.top_p = 1;
    p.repetition_penalty = 1;
    p.seed = h.next();
    std::vector<int32_t> tok(n_rows), zero(n_rows, 0), sampled(n_rows, -1);
    for (uint32_t r = 0; r < n_rows; r++)
        tok[r] = (int32_t)r;
    Buffer<float> dl(logits);
    Buffer<int32_t> pos(n_rows), dtok(tok), dseq(zero), target(sampled), last(1);
    Buffer<pgd_plan_seq> seq(std::vector<pgd_plan_seq>(1));
    Buffer<pgd_sampling> sampling(std::vector<pgd_sampling>(1, p));
    Buffer<pgd_sample_out> out(n_rows);
    Buffer<unsigned char> space(pgd_k_sample_space(n_rows, vocab) + 1);
    pgd_slots s = {};
    s.max_slots = 1;
    s.vocab_size = vocab;
    s.last_token = last.get();
    s.sampling = sampling.get();
    const pgd_k_sample a = {dl.get(),  pos.get(), dtok.get(), dseq.get(), target.get(),
                            seq.get(), s,         out.get(),  nullptr,    space.get(),
                            n_rows,    vocab,     0,          0};
    std::vector<double> seen(vocab, 0.0);
    for (uint32_t l = 0; l < n_launches; l++) {
        for (uint32_t r = 0; r < n_rows; r++)
            tok[r] = (int32_t)(l * n_rows + r);
        pos.upload(tok);
        CUDA_OK(pgd_k_run_sample(&a, h.stream));
        h.sync();
        for (const pgd_sample_out &o : out.download())
            seen[(uint32_t)o.token % vocab]++;
    }
    double sum = 0, chi = 0;
    for (float x : row)
        sum += exp((double)x / 0.8f);
    for (uint32_t i = 0; i < vocab; i++) {
        const double want = exp((double)row[i] / 0.8f) / sum * n_rows * n_launches;
        chi += (seen[i] - want) * (seen[i] - want) / want;
    }
    const double df = vocab - 1, limit = df + 5 * sqrt(2 * df);
    h.check(true, "");
    if (!(chi < limit && chi > df - 5 * sqrt(2 * df)))
        h.fail("distribution over %u tokens: chi-square %.1f, expected %.0f +- %.0f", vocab, chi,
               df, limit - df);
}

/* --- bench --- */

static void bench(Harness &h, uint32_t n_rows, bool peaked, const char *name,
                  const pgd_sampling &p) {
    const uint32_t vocab = 128256, sets = n_rows >= 256 ? 1 : n_rows >= 64 ? 4 : 200;
    const size_t each = (size_t)n_rows * vocab;
    std::vector<float> x(vocab * 4);
    for (auto &e : x)
        e = peaked ? normal(h) * 3 : h.uniform();
    Buffer<float> logits(each * sets);
    for (size_t r = 0; r < (size_t)n_rows * sets; r++)
        CUDA_OK(cudaMemcpyAsync(logits.get() + r * vocab, x.data() + (r % 4) * vocab, vocab * 4,
                                cudaMemcpyHostToDevice, h.stream));
    std::vector<int32_t> index(n_rows), sampled(n_rows, -1);
    std::vector<pgd_plan_seq> seqs(n_rows);
    for (uint32_t r = 0; r < n_rows; r++) {
        index[r] = (int32_t)r;
        seqs[r] = {r, r, 1, 0, PGD_PLAN_SAMPLE, -1};
    }
    Buffer<int32_t> tok(index), target(sampled), last(n_rows);
    Buffer<pgd_plan_seq> seq(seqs);
    Buffer<pgd_sampling> sampling(std::vector<pgd_sampling>(n_rows, p));
    Buffer<uint32_t> zero(std::vector<uint32_t>(n_rows, 0));
    Buffer<pgd_sample_out> out(n_rows);
    Buffer<unsigned char> space(pgd_k_sample_space(n_rows, vocab) + 1);
    pgd_slots s = {};
    s.max_slots = n_rows;
    s.vocab_size = vocab;
    s.last_token = last.get();
    s.sampling = sampling.get();
    s.n_prompt = s.n_bias = zero.get();
    pgd_k_sample a = {logits.get(), tok.get(), tok.get(),   tok.get(), target.get(), seq.get(), s,
                      out.get(),    nullptr,   space.get(), n_rows,    vocab,        0,         0};
    const double us = h.time_us([&](int i) {
        a.logits = logits.get() + (size_t)i % sets * each;
        CUDA_OK(pgd_k_run_sample(&a, h.stream));
    });
    h.report(name, label("%u x 128256 %s", n_rows, peaked ? "normal" : "flat").c_str(), us,
             (double)each * 4, 0);
    if (n_rows != 64 || !peaked || !(p.flags & PGD_SAMPLE_GREEDY)) return;
    const double post = h.time_us([&](int) { CUDA_OK(pgd_k_run_logits_post(&a, h.stream)); });
    h.report("logits_post, nothing to do", "64 x 128256", post, 0, 0);
}

static void bench_all(Harness &h) {
    h.read_ceiling(); /* prints a line of its own */
    pgd_sampling greedy = {}, plain = {}, top_p = {}, top_k = {}, both = {}, probs = {};
    for (pgd_sampling *p : {&greedy, &plain, &top_p, &top_k, &both, &probs}) {
        p->temperature = 1;
        p->top_p = 1;
        p->repetition_penalty = 1;
        p->seed = 7;
    }
    greedy.flags = PGD_SAMPLE_GREEDY;
    probs.flags = PGD_SAMPLE_GREEDY | PGD_SAMPLE_LOGPROBS;
    probs.n_top = 5;
    top_p.top_p = both.top_p = 0.9f;
    top_k.top_k = both.top_k = 50;
    for (uint32_t n : {1u, 64u, 256u})
        for (int peaked = 1; peaked >= 0; peaked--) {
            bench(h, n, peaked, "sample greedy", greedy);
            bench(h, n, peaked, "sample temperature", plain);
            bench(h, n, peaked, "sample top-p", top_p);
            bench(h, n, peaked, "sample top-k", top_k);
            bench(h, n, peaked, "sample top-k, top-p", both);
            bench(h, n, peaked, "sample logprobs, top 5", probs);
        }
}

int main(int argc, char **argv) {
    Harness h(argc, argv);
    for (uint32_t vocab : {1u, 2u, 3u, 100u, 1023u}) {
        check_batch(h, vocab, 1, false);
        for (int i = 0; i < (h.quick ? 1 : 4); i++)
            check_batch(h, vocab, h.quick ? 24 : 300, i % 2);
    }
    for (uint32_t vocab : {8191u, 8192u, 8195u}) {
        check_batch(h, vocab, h.quick ? 8 : 150, false);
        check_batch(h, vocab, h.quick ? 8 : 100, true);
    }
    if (!h.quick)
        for (uint32_t vocab : {50257u, 128256u}) {
            check_batch(h, vocab, 1, false);
            check_batch(h, vocab, 70, false);
            check_batch(h, vocab, 40, true);
        }
    if (!h.quick) {
        check_batch(h, 500001, 12, true); /* beyond shared memory */
        check_distribution(h, 100, 8192, 123);
        check_distribution(h, 8192, 2048, 500);
    }
    if (h.bench) bench_all(h);
    return h.finish();
}
