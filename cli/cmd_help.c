/* cli/cmd_help.c: help and completion. */
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/out.h"

int cmd_completion(struct cli *cli)
{
    if (completion_print(stdout, cli->args->words[0]))
        return CLI_OK;
    return out_fail(cli, CLI_USAGE, "usage", "no completion for '%s'; bash, zsh and fish are there",
                    cli->args->words[0]);
}

int cmd_help(struct cli *cli)
{
    static const char *const topics[] = {"filters",     "exit-codes", "json",
                                         "environment", "reference",  NULL};
    struct args named;
    struct buf why;
    char *argv[8] = {NULL};
    int argc = 1, rc = CLI_OK;

    if (cli->args->words_n == 1 && help_topic(stdout, cli->args->words[0]))
        return CLI_OK;
    for (size_t i = 0; i < cli->args->words_n && argc < 7; i++)
        argv[argc++] = (char *)(uintptr_t)cli->args->words[i];
    /* --help keeps the parser from asking for the command's arguments. */
    char help[] = "--help";

    argv[argc++] = help;
    buf_init(&why, 4096);
    if (args_parse(&named, argc, argv, &why) == 0) {
        help_print(stdout, named.command ? named.command->words : named.group);
    } else {
        const char *near =
            cli->args->words_n == 1 ? text_nearest(cli->args->words[0], topics) : NULL;

        rc =
            out_fail(cli, CLI_USAGE, "usage", "no help on that: %s%s%s%s", why.data ? why.data : "",
                     near ? "; or the topic '" : "", near ? near : "", near ? "'" : "");
    }
    args_fini(&named);
    buf_fini(&why);
    return rc;
}
