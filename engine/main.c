/* engine/main.c: webhookd's command line. Everything else is engine.c's. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/process.h"
#include "engine/engine.h"
#include "policy/conf.h"

static const char usage[] =
    "usage: webhookd [-c FILE] [-t]\n"
    "  -c, --config FILE   configuration (default /etc/webhookd/webhookd.conf)\n"
    "  -t, --test          only check the configuration: exit status 0 or 78\n"
    "  -V, --version       print the version\n"
    "  -h, --help          print this\n"
    "Runs in the foreground and logs to standard error. SIGHUP reloads, SIGTERM drains and stops.\n"
    "Operators' commands: webhookctl --help\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"test", no_argument, NULL, 't'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *file = "/etc/webhookd/webhookd.conf";
    bool only_check = false;
    struct conf *conf = NULL;
    struct buf problems;
    int c;

    process_hold_standard();
    while ((c = getopt_long(argc, argv, "c:tVh", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            file = optarg;
            break;
        case 't':
            only_check = true;
            break;
        case 'V':
            printf("webhookd %s (git %s)\n", WEBHOOKD_VERSION, WEBHOOKD_GIT);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "webhookd: unexpected argument '%s'\n%s", argv[optind], usage);
        return EX_USAGE;
    }
    buf_init(&problems, 1 << 20);
    enum err_code rc = conf_load(&conf, file, &problems);
    if (problems.len > 0)
        fputs(problems.data, stderr);
    buf_fini(&problems);
    if (rc != OK) {
        conf_free(conf);
        return EX_CONFIG;
    }
    if (only_check) {
        fprintf(stderr, "configuration %s is valid\n", file);
        conf_free(conf);
        return EXIT_SUCCESS;
    }
    log_setup((enum log_format)conf->log_format, (enum log_level)conf->log_level);
    return engine_run(conf, file);
}
