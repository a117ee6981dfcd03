/* engine/main.c: webhookd's command line. Everything else is engine.c's. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/process.h"
#include "engine/engine.h"
#include "policy/conf.h"

#define STANDARD_CONFIG "/etc/webhookd/webhookd.conf"

/* What can be typed (house rule 7): getopt's table, --help and webhookd(8) are made from these. */
static const struct {
    char letter;
    const char *name, *value, *help;
} rows[] = {
    {'c', "config", "FILE", "configuration (default " STANDARD_CONFIG ")"},
    {'t', "test", NULL, "only check the configuration: exit status 0 or 78"},
    {'V', "version", NULL, "print the version"},
    {'h', "help", NULL, "print this"},
};
#define ROWS_N (sizeof rows / sizeof *rows)

static void usage(FILE *to)
{
    fputs("usage: webhookd [-c FILE] [-t]\n", to);
    for (size_t i = 0; i < ROWS_N; i++) {
        char left[32];

        snprintf(left, sizeof left, "-%c, --%s%s%s", rows[i].letter, rows[i].name,
                 rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
        fprintf(to, "  %-20s%s\n", left, rows[i].help);
    }
    fputs("Runs in the foreground and logs to standard error. SIGHUP reloads, SIGTERM drains and "
          "stops.\nOperators' commands: webhookctl help\n",
          to);
}

/* getopt's two forms of the rows. */
static void options_make(struct option options[ROWS_N + 1], char letters[2 * ROWS_N + 1])
{
    for (size_t i = 0; i < ROWS_N; i++) {
        options[i] = (struct option){rows[i].name, rows[i].value != NULL, NULL, rows[i].letter};
        *letters++ = rows[i].letter;
        if (rows[i].value != NULL)
            *letters++ = ':';
    }
    options[ROWS_N] = (struct option){NULL, 0, NULL, 0};
    *letters = '\0';
}

int main(int argc, char **argv)
{
    struct option options[ROWS_N + 1];
    char letters[2 * ROWS_N + 1];
    const char *file = STANDARD_CONFIG;
    bool only_check = false;
    struct conf *conf = NULL;
    struct buf problems;
    int c;

    process_hold_standard();
    options_make(options, letters);
    while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
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
            usage(stdout);
            return EXIT_SUCCESS;
        default:
            usage(stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "webhookd: unexpected argument '%s'\n", argv[optind]);
        usage(stderr);
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
