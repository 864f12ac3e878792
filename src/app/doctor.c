/* pagoda doctor [MODEL] [--json] [flags of serve]: the command. It reads the configuration as serve
 * does and makes the same checks through the same functions, so that what it says is what serve
 * would say, and then leaves: no request is served and no file stays behind. Main thread. */
#include "app/doctor.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "pagoda/log.h"
#include "pagoda/mem.h"

static const char help[] =
    "pagoda doctor [MODEL] [--json] [flags of serve]\n\n"
    "Tell whether this machine can serve this model, with these flags: the program and how it was\n"
    "built, the machine and its limits, GPUs, the model folder, the memory plan, and the port.\n"
    "Everything is checked by the code that serves, nothing is served, and nothing stays behind.\n"
    "Without MODEL only the machine is looked at.\n\n"
    "  pagoda doctor configs/models/pagoda-tiny\n"
    "  pagoda doctor /models/llama --device cuda --max-model-len 32768 --port 8000\n\n"
    "Each line is ok, note (serve starts all the same) or FAIL. Exit status: 0 without a FAIL,\n"
    "else 1.\n\n"
    "  --json       print one JSON object: checks, and the memory plan in bytes\n"
    "  --help       this text; pagoda serve --help lists the other flags\n";

/* Copy what belongs to serve; whether --json was there. */
static bool split_args(int n_args, const char *const *args, const char **out, int *n_out) {
    bool json = false;
    *n_out = 0;
    for (int i = 0; i < n_args; i++) {
        if (strcmp(args[i], "--json") == 0)
            json = true;
        else
            out[(*n_out)++] = args[i];
    }
    return json;
}

static int print(const pgd_report *r, bool json) {
    pgd_buf out = {0};
    if (json)
        pgd_report_json(r, &out);
    else
        pgd_report_text(r, &out);
    const bool written = !out.failed && fwrite(out.p, 1, out.n, stdout) == out.n;
    pgd_buf_fini(&out);
    return written && fflush(stdout) == 0 ? pgd_report_exit_code(r) : 1;
}

static void examine(pgd_report *r, const pgd_config *config, const pgd_error *why) {
    pgd_doctor_machine(r, config);
    if (config != NULL)
        pgd_doctor_server(r, config);
    else
        pgd_report_add(r, PGD_VERDICT_FAIL, "configuration",
                       "pagoda serve --help lists flags and values", "%s", why->msg);
}

int pgd_cmd_doctor(int n_args, const char *const *args, const char *const *env) {
    pgd_config config;
    pgd_report report = {0};
    pgd_error err = {0};
    int n = 0;
    const char **rest = pgd_calloc((size_t)n_args + 1, sizeof(*rest));
    if (rest == NULL) return 1;
    const bool json = split_args(n_args, args, rest, &n);
    const bool good = pgd_config_load(n, rest, env, &config, &err) == PGD_OK;
    pgd_free(rest);
    if (good && config.help) {
        (void)fputs(help, stdout);
        pgd_config_fini(&config);
        return 0;
    }
    pgd_log_setup(PGD_LOG_OFF, PGD_LOG_TEXT); /* what is to be said stands in the report */
    (void)signal(SIGPIPE, SIG_IGN);
    examine(&report, good ? &config : NULL, &err);
    const int code = print(&report, json);
    pgd_report_fini(&report);
    if (good) pgd_config_fini(&config);
    return code;
}
