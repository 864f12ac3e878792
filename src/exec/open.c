/* Opening an executor: which device a name means, and what an executor would take, without one.
 *
 * "auto" is the GPU where it can be used, else the CPU; a GPU that is there and fails is an error,
 * since falling back would serve a hundred times slower than was meant. A plan is made on a thread
 * of its own, as a load is: opening the CPU device may pin the thread that does. Thread: any. */
#include <pthread.h>
#include <string.h>

#include "pagoda/log.h"
#include "rank.h"
#include "sizing.h"

static pgd_status open_cpu(const pgd_exec_options *opt, pgd_device **out, pgd_error *err) {
    const pgd_cpu_options o = {.n_threads = opt->n_threads, .isa = opt->isa};
    PGD_TRY(pgd_device_open_cpu(&o, out, err));
    pgd_pool_pin_caller(pgd_device_cpu_pool(*out)); /* this is the rank thread */
    return PGD_OK;
}

static pgd_status open_device(void *ctx, const pgd_exec_options *opt, pgd_device **out,
                              pgd_error *err) {
    const char *const name = opt->device ? opt->device : "cpu";
    pgd_error why = {0};
    (void)ctx;
    if (strcmp(name, "cpu") == 0) return open_cpu(opt, out, err);
    if (strcmp(name, "cuda") == 0) return pgd_device_open_cuda(out, err);
    if (strcmp(name, "auto") != 0)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "--device is '%s', expected auto, cpu or cuda",
                        name);
    const pgd_status s = pgd_device_open_cuda(out, &why);
    if (s != PGD_E_NOT_FOUND && s != PGD_E_UNSUPPORTED) { /* a GPU that fails is an error */
        if (s != PGD_OK) *err = why;
        return s;
    }
    /* no GPU is usual; one that cannot be used is worth a line */
    pgd_log(s == PGD_E_UNSUPPORTED ? PGD_LOG_WARN : PGD_LOG_DEBUG, "exec", "using the CPU: %s",
            why.msg);
    return open_cpu(opt, out, err);
}

pgd_status pgd_exec_open(const pgd_model *model, const pgd_exec_options *opt,
                         _Atomic uint32_t *progress, pgd_exec **out, pgd_error *err) {
    const rank_device device = {.open = open_device};
    return rank_open(model, opt, device, progress, out, err);
}

typedef struct planner {
    const pgd_model *model;
    const pgd_exec_options *opt;
    pgd_exec_info *out;
    pgd_error *err;
    pgd_status status;
} planner;

static void *plan_main(void *arg) {
    planner *const p = arg;
    pgd_device *dev = NULL;
    sizing z;
    p->status = open_device(NULL, p->opt, &dev, p->err);
    if (p->status != PGD_OK) return NULL;
    p->status = sizing_decide(p->opt, p->model, dev, &z, p->err);
    if (p->status == PGD_OK) sizing_tell(&z, p->opt, p->model, dev, p->out);
    dev->close(dev);
    return NULL;
}

pgd_status pgd_exec_plan(const pgd_model *model, const pgd_exec_options *opt, pgd_exec_info *out,
                         pgd_error *err) {
    planner p = {.model = model, .opt = opt, .out = out, .err = err};
    pthread_t thread;
    const int e = pthread_create(&thread, NULL, plan_main, &p);
    if (e) return pgd_fail(err, PGD_E_NOMEM, "cannot start a thread: error %d", e);
    (void)pthread_join(thread, NULL);
    return p.status;
}
