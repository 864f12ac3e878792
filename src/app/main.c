/* pagoda: command dispatch. Reads the environment once and passes it on. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/cmd_bench.h"
#include "app/doctor.h"
#include "app/serve.h"
#include "pagoda/cli.h"
#include "pagoda/config.h"

extern char **environ;

static int usage(FILE *to, int code) {
    (void)fputs(
        "pagoda " PGD_VERSION ", an OpenAI-compatible inference server\n\n"
        "  pagoda serve MODEL [flags]   serve a model folder (pagoda serve --help lists the "
        "flags)\n"
        "  pagoda chat [flags]          talk with a model of any OpenAI-compatible server\n"
        "  pagoda tokenize MODEL [TEXT] show the tokens of a text\n"
        "  pagoda bench COMMAND ...     measure a server (serve), or the engine (latency, "
        "throughput)\n"
        "  pagoda doctor [MODEL] [flags] tell whether this machine can serve the model\n"
        "  pagoda config-reference      print docs/config.md\n"
        "  pagoda version               print the version\n",
        to);
    return code;
}

static int put_out(void (*write_text)(pgd_buf *)) {
    pgd_buf text = {0};
    write_text(&text);
    const int code = text.failed ? 1 : 0;
    (void)fwrite(text.p, 1, text.n, stdout);
    pgd_buf_fini(&text);
    return code;
}

static int serve(int n_args, const char *const *args) {
    pgd_config config;
    pgd_error err = {0};
    if (pgd_config_load(n_args, args, (const char *const *)environ, &config, &err) != PGD_OK) {
        (void)fprintf(stderr, "pagoda: %s\n", err.msg);
        return PGD_EXIT_CONFIG;
    }
    const int code = config.help ? put_out(pgd_config_help) : pgd_serve(&config);
    pgd_config_fini(&config);
    return code;
}

int main(int argc, char **argv) {
    if (argc < 2) return usage(stderr, PGD_EXIT_CONFIG);
    const char *command = argv[1];
    if (strcmp(command, "serve") == 0) return serve(argc - 2, (const char *const *)argv + 2);
    if (strcmp(command, "chat") == 0)
        return pgd_cli_chat(argc - 2, (const char *const *)argv + 2, (const char *const *)environ);
    if (strcmp(command, "tokenize") == 0)
        return pgd_cli_tokenize(argc - 2, (const char *const *)argv + 2);
    if (strcmp(command, "bench") == 0)
        return pgd_cmd_bench(argc - 2, (const char *const *)argv + 2);
    if (strcmp(command, "doctor") == 0)
        return pgd_cmd_doctor(argc - 2, (const char *const *)argv + 2,
                              (const char *const *)environ);
    if (strcmp(command, "config-reference") == 0) return put_out(pgd_config_markdown);
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        puts("pagoda " PGD_VERSION);
        return 0;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0)
        return usage(stdout, 0);
    (void)fprintf(stderr, "pagoda: unknown command '%s'\n\n", command);
    return usage(stderr, PGD_EXIT_CONFIG);
}
