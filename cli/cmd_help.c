/* cli/cmd_help.c: help, completion, the version. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/help.h"
#include "cli/out.h"
#include "store/backend.h"

int cmd_completion(struct cli *cli)
{
    const struct args *a = cli->args;

    if (strcmp(a->words[0], "words") == 0) /* what the scripts ask */
        return completion_words(cli, a->words + 1, a->words_n - 1);
    if (a->words_n > 1)
        return out_fail(cli, CLI_USAGE, "usage", "unexpected argument '%s'; one shell at a time",
                        a->words[1]);
    if (completion_print(stdout, a->words[0]))
        return CLI_OK;
    return out_fail(cli, CLI_USAGE, "usage", "no completion for '%s'; bash, zsh and fish are there",
                    cli->args->words[0]);
}

static int help_unknown(const struct cli *cli, const char *why)
{
    const char *names[32];
    size_t n = 0;

    for (; help_topics[n].name && n < sizeof names / sizeof *names - 1; n++)
        names[n] = help_topics[n].name;
    names[n] = NULL;
    const char *near = cli->args->words_n == 1 ? text_nearest(cli->args->words[0], names) : NULL;

    return out_fail(cli, CLI_USAGE, "usage", "no help on that: %s%s%s%s", why,
                    near ? "; or the topic '" : "", near ? near : "", near ? "'" : "");
}

static int topic_show(const struct cli *cli, const struct help_topic *topic)
{
    if (out_is_json(cli)) {
        json_t *json = help_topic_json(topic);
        const json_t *items = json_object_get(json, "items"), *item;
        size_t i;

        if (cli->format == OUT_JSONL && items != NULL)
            json_array_foreach(items, i, item) out_json(item, true);
        else
            out_json(json, cli->format == OUT_JSONL);
        json_decref(json);
    } else {
        help_topic_print(stdout, topic->name);
    }
    return CLI_OK;
}

int cmd_help(struct cli *cli)
{
    const struct help_topic *topic =
        cli->args->words_n == 1 ? help_topic_find(cli->args->words[0]) : NULL;
    struct args named;
    struct buf why;
    char *argv[8] = {NULL};
    int argc = 1, rc = CLI_OK;

    if (topic != NULL)
        return topic_show(cli, topic);
    for (size_t i = 0; i < cli->args->words_n && argc < 7; i++)
        argv[argc++] = (char *)(uintptr_t)cli->args->words[i];
    /* --help keeps the parser from asking for the command's arguments. */
    char help[] = "--help";

    argv[argc++] = help;
    buf_init(&why, 4096);
    if (args_parse(&named, argc, argv, &why) == 0)
        help_print(stdout, named.command ? named.command->words : named.group);
    else
        rc = help_unknown(cli, why.data ? why.data : "");
    args_fini(&named);
    buf_fini(&why);
    return rc;
}

int cmd_version(struct cli *cli)
{
    (void)cli;
    printf("webhookctl %s (git %s, %s, %s)\n", WEBHOOKD_VERSION, WEBHOOKD_GIT, client_library(),
           backend_library());
    return CLI_OK;
}
