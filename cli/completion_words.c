/* cli/completion_words.c: what may stand at the end of a line that is being typed: commands, flags
 * and closed lists by the rows of commands.c, names and ids as a running webhookd has them. Nothing
 * is said but that: no daemon, no names. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/help.h"
#include "cli/out.h"

#define LIVE_TIMEOUT_MS 1000
#define LIVE_LIMIT "limit=200"
#define WORD_MAX 512

struct completing {
    struct cli *cli;
    char command[64];          /* the words of commands that stand so far: "dlq list" */
    const struct command *row; /* NULL: not one yet */
    size_t arguments;          /* that stand behind it */
    flag_mask given;
    enum flag_id value_of; /* the flag whose value is typed now; FLAGS: none */
    bool ended;            /* by -- */
    char before[WORD_MAX]; /* of the current word, what stays: "--cause=", "a,b," */
    char current[WORD_MAX];
};

static void offer(const struct completing *c, const char *word, const char *about)
{
    if (strncmp(word, c->current, strlen(c->current)) == 0)
        printf("%s%s%s%s\n", c->before, word, *about ? "\t" : "", about);
}

/* Without the quotes and backslashes of a shell. */
static void unquoted(char out[WORD_MAX], const char *word)
{
    size_t n = 0;

    for (; *word && n + 1 < WORD_MAX; word++) {
        if (*word == '\\' && word[1])
            word++;
        else if (*word == '"' || *word == '\'')
            continue;
        out[n++] = *word;
    }
    out[n] = '\0';
}

/* Of the flags that share a name the command's own. */
static enum flag_id flag_of(const struct completing *c, const char *word)
{
    size_t n = strcspn(word, "=");
    enum flag_id found = FLAGS;

    for (size_t i = 0; i < FLAGS; i++) {
        const struct flag *f = &flags_table[i];

        if (strncmp(word, "--", 2) == 0
                ? strlen(f->name) + 2 == n && strncmp(word + 2, f->name, n - 2) == 0
                : word[0] == '-' && word[1] && word[1] == f->letter)
            found = found == FLAGS || (c->row && (c->row->flags & FLAG_BIT(i))) ? (enum flag_id)i
                                                                                : found;
    }
    return found;
}

static const struct command *row_of(const char *words)
{
    for (size_t i = 0; i < commands_n; i++) {
        if (strcmp(commands_table[i].words, words) == 0)
            return &commands_table[i];
    }
    return NULL;
}

static void take_word(struct completing *c, const char *word)
{
    size_t n = strlen(c->command);

    if (c->row != NULL) {
        c->arguments++;
        return;
    }
    for (size_t i = 0; n == 0 && commands_aliases[i].alias; i++) {
        if (strcmp(commands_aliases[i].alias, word) == 0)
            word = commands_aliases[i].word;
    }
    if (n + strlen(word) + 2 > sizeof c->command)
        return;
    snprintf(c->command + n, sizeof c->command - n, "%s%s", n ? " " : "", word);
    c->row = row_of(c->command);
}

/* One word that stands before the current one. */
static void take(struct completing *c, const char *word)
{
    enum flag_id flag = c->ended || word[0] != '-' ? FLAGS : flag_of(c, word);
    const char *value = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;

    if (c->value_of != FLAGS) {
        if (c->value_of == FLAG_CONFIG)
            c->cli->config_file = word;
        c->value_of = FLAGS;
    } else if (!c->ended && strcmp(word, "--") == 0) {
        c->ended = true;
    } else if (flag != FLAGS) {
        c->given |= FLAG_BIT(flag);
        if (flags_table[flag].value != NULL && value == NULL && (word[1] == '-' || word[2] == '\0'))
            c->value_of = flag;
        if (flag == FLAG_CONFIG && value != NULL)
            c->cli->config_file = value + 1;
    } else if (c->ended || word[0] != '-') {
        take_word(c, word);
    }
}

/* "rate=20/s" stands for --rate 20/s there. */
static bool takes_keys(const struct completing *c)
{
    return c->row != NULL && c->arguments > 0 && strstr(c->row->args, "KEY=VALUE") != NULL;
}

/* "--cause=re" is the value re of --cause; "a,b" is b behind "a,". */
static void take_current(struct completing *c, const char *word)
{
    const char *equals = strchr(word, '='), *start = word;
    bool key = c->value_of == FLAGS && word[0] != '-' && takes_keys(c);
    char flag[WORD_MAX + 2];

    snprintf(flag, sizeof flag, "%s%s", key ? "--" : "", word);
    if (c->value_of == FLAGS && equals != NULL &&
        (key || (!c->ended && strncmp(word, "--", 2) == 0))) {
        c->value_of = flag_of(c, flag);
        start = equals + 1;
    }
    if (c->value_of != FLAGS && flags_table[c->value_of].many && strrchr(start, ',') != NULL)
        start = strrchr(start, ',') + 1;
    text_copy(c->before, (size_t)(start - word) + 1, word);
    text_copy(c->current, sizeof c->current, start);
}

/* What webhookd has now: member of each item of a list. */
static void offer_found(struct completing *c, const char *noun, const char *query,
                        const char *member, const char *about)
{
    struct client_request r = {.method = "GET", .query = query, .daemon_only = true};
    struct answer a;
    char path[64];
    size_t i;
    json_t *item;

    snprintf(path, sizeof path, "/api/v1/%s", noun);
    r.path = path;
    c->cli->timeout_ms = LIVE_TIMEOUT_MS;
    if (client_send(c->cli, &r, &a) != 0)
        return;
    json_array_foreach(json_object_get(a.json, "items"), i, item)
    {
        struct buf text;

        buf_init(&text, WORD_MAX);
        out_value(c->cli, out_member(item, about), OUT_TEXT, &text);
        if (out_string(item, member) != NULL)
            offer(c, out_string(item, member), text.data ? text.data : "");
        buf_fini(&text);
    }
    answer_fini(&a);
}

static void offer_live(struct completing *c, const char *noun, const char *member,
                       const char *about)
{
    offer_found(c, noun, LIVE_LIMIT, member, about);
}

static void offer_list(const struct completing *c, const char *words)
{
    char word[64];

    for (size_t n = 0; args_word(words, n, word, sizeof word); n++)
        offer(c, word, "");
}

static bool is_file(const char *value)
{
    return strcmp(value, "F") == 0 || strncmp(value, "FILE", 4) == 0 ||
           strncmp(value, "[FILE", 5) == 0;
}

static void offer_values(struct completing *c)
{
    const struct flag *f = &flags_table[c->value_of];

    if (f->words != NULL)
        offer_list(c, f->words);
    else if (c->value_of == FLAG_SUBSCRIPTION)
        offer_live(c, "subscriptions", "name", "state");
    else if (c->value_of == FLAG_JOB)
        offer_live(c, "jobs", "id", "state");
    else if (c->value_of == FLAG_PARTNER)
        offer_live(c, "partners", "name", "id");
    else if (c->value_of == FLAG_EVENT)
        offer_live(c, "events", "id", "type");
    else if (f->value != NULL && is_file(f->value))
        puts(":files");
}

static void offer_flags(const struct completing *c)
{
    flag_mask mask = FLAGS_GLOBAL | (c->row ? c->row->flags : 0);
    char word[64];

    for (size_t i = 0; i < FLAGS; i++) {
        if (!(mask & FLAG_BIT(i)) || ((c->given & FLAG_BIT(i)) && !flags_table[i].many))
            continue;
        snprintf(word, sizeof word, "--%s", flags_table[i].name);
        if (flag_of(c, word) != (enum flag_id)i) /* the command has one of that name itself */
            continue;
        offer(c, word, flags_table[i].help);
    }
}

/* The words that may follow those of the command so far, each once. */
static void offer_commands(const struct completing *c)
{
    size_t n = strlen(c->command);
    char word[64], seen[64] = "";

    for (size_t i = 0; i < commands_n; i++) {
        const char *words = commands_table[i].words;

        if (n > 0 && (strncmp(words, c->command, n) != 0 || words[n] != ' '))
            continue;
        words += n + (n > 0);
        args_word(words, 0, word, sizeof word);
        if (strcmp(word, seen) == 0) /* rows of one noun stand together */
            continue;
        text_copy(seen, sizeof seen, word);
        offer(c, word, strcmp(word, words) == 0 ? commands_table[i].help : "");
    }
    for (size_t i = 0; n == 0 && commands_aliases[i].alias; i++)
        offer(c, commands_aliases[i].alias, commands_aliases[i].word);
}

static void offer_help(struct completing *c)
{
    for (size_t i = 0; c->arguments == 0 && help_topics[i].name; i++)
        offer(c, help_topics[i].name, help_topics[i].about);
    if (c->arguments == 0) {
        c->command[0] = '\0';
        offer_commands(c);
    }
}

static void offer_keys(const struct completing *c)
{
    char word[64];

    for (size_t i = 0; i < FLAGS; i++) {
        snprintf(word, sizeof word, "%s=", flags_table[i].name);
        if ((c->row->flags & FLAG_BIT(i)) && flags_table[i].value != NULL)
            offer(c, word, flags_table[i].help);
    }
}

/* "bash|zsh|fish", "[debug|info]" */
static void offer_choice(const struct completing *c, const char *args)
{
    char list[128];

    text_copy(list, sizeof list, args + (*args == '['));
    for (char *p = list; *p; p++)
        *p = *p == '|' || *p == ']' ? ' ' : *p;
    if (c->arguments == 0)
        offer_list(c, list);
}

/* Nothing can be done to one that is over. */
static bool changes_job(const char *words)
{
    static const char *const changing[] = {"job pause", "job resume", "job cancel", "job set-rate"};

    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
        if (strcmp(words, changing[i]) == 0)
            return true;
    return false;
}

static void offer_arguments(struct completing *c)
{
    static const struct {
        const char *noun, *list, *about;
    } ids[] = {
        {"dlq ", "dead-letters", "type"},    {"delivery ", "deliveries", "state"},
        {"attempt ", "deliveries", "state"}, {"event ", "events", "type"},
        {"job ", "jobs", "state"},           {"outbox rejects ", "outbox-rejects", "reason"}};
    const char *args = c->row->args, *words = c->row->words;

    if (strcmp(words, "help") == 0) {
        offer_help(c);
    } else if (takes_keys(c)) {
        offer_keys(c);
    } else if (strncmp(args, "NAME|ID", 7) == 0) {
        if (c->arguments == 0)
            offer_live(c, "subscriptions", "name", "state");
    } else if (is_file(args)) {
        puts(":files");
    } else if (islower((unsigned char)args[*args == '['])) {
        offer_choice(c, args);
    } else if (c->arguments > 0 && strstr(args, "...") == NULL) {
        return;
    } else if (changes_job(words)) {
        offer_found(c, "jobs", LIVE_LIMIT "&state=active&state=paused&state=stopped", "id",
                    "state");
    } else if (strstr(args, "ID") != NULL || strncmp(args, "DELIVERY", 8) == 0) {
        for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
            if (strncmp(words, ids[i].noun, strlen(ids[i].noun)) == 0)
                offer_live(c, ids[i].list, "id", ids[i].about);
        }
    }
}

int completion_words(struct cli *cli, const char *const *words, size_t n)
{
    struct completing c = {.cli = cli, .value_of = FLAGS};
    char(*plain)[WORD_MAX] = calloc(n + 1, sizeof *plain);

    if (plain == NULL)
        return CLI_INTERNAL;
    /* a message would stand in the middle of the line that is typed */
    if (freopen("/dev/null", "w", stderr) == NULL)
        fclose(stderr);
    for (size_t i = 0; i < n; i++)
        unquoted(plain[i], words[i]);
    for (size_t i = 0; i + 1 < n; i++)
        take(&c, plain[i]);
    take_current(&c, n > 0 ? plain[n - 1] : "");
    if (c.value_of != FLAGS)
        offer_values(&c);
    else if (!c.ended && c.current[0] == '-')
        offer_flags(&c);
    else if (c.row == NULL)
        offer_commands(&c);
    else
        offer_arguments(&c);
    free(plain);
    return CLI_OK;
}
