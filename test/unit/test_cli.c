/* test/unit/test_cli.c: webhookctl's parser, help, completion and exit codes: all from one table,
 * so each row is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/help.h"

#define ARGS_MAX 16

/* Splits a line at blanks (no quotes) and parses it. */
static int parse(const char *line, struct args *a, struct buf *why, char text[256])
{
    char program[] = "webhookctl";
    char *argv[ARGS_MAX] = {program}, *save = NULL;
    int argc = 1;

    snprintf(text, 256, "%s", line);
    for (char *word = strtok_r(text, " ", &save); word && argc < ARGS_MAX;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    buf_init(why, 4096);
    return args_parse(a, argc, argv, why);
}

static void test_lines(void **state)
{
    static const struct {
        const char *line;
        int rc;
        const char *command, *says; /* says: part of the complaint */
        size_t words;
    } rows[] = {
        {"dlq list", 0, "dlq list", NULL, 0},
        {"-o json dlq list --limit 3", 0, "dlq list", NULL, 0},
        {"--limit=3 dlq -ojson list", 0, "dlq list", NULL, 0},
        {"dlq list dlv_1 dlv_2 -s a", 0, "dlq list", NULL, 2},
        {"dlq list -- --all -s", 0, "dlq list", NULL, 2},
        {"dlq replay -ny --all", 0, "dlq replay", NULL, 0},
        {"dlq export -f -", 0, "dlq export", NULL, 0},
        {"sub add --url x --events y", 0, "subscription add", NULL, 0},
        {"outbox rejects list", 0, "outbox rejects list", NULL, 0},
        {"help dlq list", 0, "help", NULL, 2},
        {"dlq show --help", 0, "dlq show", NULL, 0},
        {"dlq", 0, NULL, NULL, 0},
        {"", 0, NULL, NULL, 0},
        {"dql list", CLI_USAGE, NULL, "did you mean 'dlq'?", 0},
        {"dlq lsit", CLI_USAGE, NULL, "did you mean 'dlq list'?", 0},
        {"outbox rejects rety", CLI_USAGE, NULL, "did you mean 'outbox rejects retry'?", 0},
        {"frobnicate", CLI_USAGE, NULL, "unknown command 'frobnicate'", 0},
        {"dlq list --limt 3", CLI_USAGE, "dlq list", "did you mean '--limit'?", 0},
        {"dlq list --limit", CLI_USAGE, NULL, "'--limit' needs a value", 0},
        {"dlq list --all=yes", CLI_USAGE, NULL, "takes no value", 0},
        {"dlq list --rate 5/s", CLI_USAGE, "dlq list", "'dlq list' has no flag '--rate'", 0},
        {"dlq list --limt=3", CLI_USAGE, "dlq list", "'--limt'; did you mean '--limit'?", 0},
        {"--limt 3 dlq list", CLI_USAGE, NULL, "did you mean '--limit'?", 0},
        {"dlq list --sub a", CLI_USAGE, "dlq list", "did you mean '--subscription'?", 0},
        {"dlq replay --from 3h", CLI_USAGE, "dlq replay", "did you mean '--since'?", 0},
        {"dlq replay --reason x", CLI_USAGE, "dlq replay", "did you mean '--note'?", 0},
        {"delivery list --events x", CLI_USAGE, "delivery list", "did you mean '--event'?", 0},
        {"dlq list --rat 5/s", CLI_USAGE, "dlq list", "'--rate' is a flag of dlq replay, ", 0},
        {"dlq list --rate 5/s", CLI_USAGE, "dlq list", "that is a flag of dlq replay, ", 0},
        {"dlq list --frobnicate", CLI_USAGE, "dlq list", "see webhookctl dlq list --help", 0},
        {"dlq list -x", CLI_USAGE, "dlq list", "unknown flag '-x'; see webhookctl dlq list", 0},
        {"-x", CLI_USAGE, NULL, "unknown flag '-x'; see webhookctl --help", 0},
        {"dlq show", CLI_USAGE, "dlq show", "needs ID", 0},
        {"dlq show a b", CLI_USAGE, "dlq show", "unexpected argument 'b'", 0},
        {"status now", CLI_USAGE, "status", "unexpected argument 'now'", 0},
        /* what is sent as text is UTF-8; paths are what they are */
        {"dlq purge --all --note Z\xfcrich", CLI_USAGE, "dlq purge",
         "--note Z\\xfcrich: byte 2 is not UTF-8", 0},
        {"event emit --type a.b --key k\xfc", CLI_USAGE, "event emit", "--key k\\xfc: byte 2", 0},
        {"dlq note dlv_1 \xff", CLI_USAGE, "dlq note", "argument \\xff: byte 1 is not", 2},
        {"dlq list -s \xed\xa0\x80", CLI_USAGE, "dlq list", "--subscription \\xed", 0},
        {"sub pause Z\xc3\xbcrich", 0, "subscription pause", NULL, 1},
        {"-c \xff dlq export -f a\xfc", 0, "dlq export", NULL, 0},
        {"dlq purge --ids-from \xff", 0, "dlq purge", NULL, 0},
        {"event emit --type a --data @\xff", 0, "event emit", NULL, 0},
        {"event emit --type a --data \"\xff\"", CLI_USAGE, "event emit", "--data \"\\xff", 0},
        {"outbox check \xff", 0, "outbox check", NULL, 1},
        {"config check \xff", 0, "config check", NULL, 1},
        {"sub set a header-file=\xff bearer-file=\xff", 0, "subscription set", NULL, 3},
        {"sub set a name=\xff", CLI_USAGE, "subscription set", "argument name=\\xff", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct args a;
        struct buf why;
        char text[256];
        int rc = parse(rows[i].line, &a, &why, text);

        if (rc != rows[i].rc)
            fail_msg("'%s': %d, not %d (%s)", rows[i].line, rc, rows[i].rc,
                     why.data ? why.data : "");
        if (rows[i].command != NULL)
            assert_string_equal(a.command->words, rows[i].command);
        else
            assert_null(a.command);
        if (rows[i].says != NULL && (why.data == NULL || !strstr(why.data, rows[i].says)))
            fail_msg("'%s' says '%s'", rows[i].line, why.data ? why.data : "");
        if (rc == 0 && rows[i].command != NULL)
            assert_int_equal(a.words_n, rows[i].words);
        args_fini(&a);
        buf_fini(&why);
    }
}

static void test_values(void **state)
{
    struct args a;
    struct buf why;
    char text[256];

    (void)state;
    assert_int_equal(
        parse("dlq list -s a --subscription=b --limit 1 --limit=2 -sc", &a, &why, text), 0);
    assert_string_equal(a.values[FLAG_LIMIT], "2");
    assert_string_equal(a.values[FLAG_SUBSCRIPTION], "c");
    assert_int_equal(a.given_n, 5);
    assert_string_equal(a.given[0].value, "a");
    assert_string_equal(a.given[1].value, "b");
    args_fini(&a);
    buf_fini(&why);
    assert_int_equal(parse("dlq replay -ny --rate=20/s", &a, &why, text), 0);
    assert_non_null(a.values[FLAG_DRY_RUN]);
    assert_non_null(a.values[FLAG_YES]);
    assert_null(a.values[FLAG_DETACH]);
    assert_string_equal(a.values[FLAG_RATE], "20/s");
    args_fini(&a);
    buf_fini(&why);
}

static bool has_meaning(int code)
{
    size_t i = 0;

    while (cli_exits[i].meaning && cli_exits[i].code != code)
        i++;
    return cli_exits[i].meaning != NULL;
}

/* A letter may mean one flag of this command and another of that. */
static void letters_are_its_own(const struct command *c)
{
    char letters[256] = {0};

    for (size_t i = 0; i < FLAGS; i++) {
        unsigned char letter = (unsigned char)flags_table[i].letter;

        if (letter == 0 || !((c->flags | FLAGS_GLOBAL) & FLAG_BIT(i)))
            continue;
        assert_int_equal(letters[letter], 0);
        letters[letter] = 1;
    }
}

static void test_table_is_whole(void **state)
{
    flag_mask used = FLAGS_GLOBAL;
    char code[8];

    (void)state;
    for (size_t i = 0; i < FLAGS; i++) {
        assert_non_null(flags_table[i].name);
        assert_non_null(flags_table[i].help);
    }
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];
        struct args a;
        struct buf why;
        char text[256];

        assert_non_null(c->run);
        assert_true(strlen(c->help) > 0);
        used |= c->flags;
        letters_are_its_own(c);
        for (size_t n = 0; args_word(c->exits, n, code, sizeof code); n++)
            assert_true(has_meaning((int)strtol(code, NULL, 10)));
        /* two rows may not shadow each other */
        assert_int_equal(parse(c->words, &a, &why, text), c->args_min > 0 ? CLI_USAGE : 0);
        assert_ptr_equal(a.command, c);
        args_fini(&a);
        buf_fini(&why);
        assert_int_equal(strncmp(c->example, "webhookctl ", 11), 0);
    }
    for (size_t i = 0; i < FLAGS; i++)
        assert_true((used & FLAG_BIT(i)) != 0);
}

/* noinline: gcc takes the stream's pointer to text for one that is kept */
__attribute__((noinline)) static char *printed(const char *words,
                                               bool (*topic)(FILE *, const char *))
{
    char *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);

    if (topic == NULL)
        help_print(to, words);
    else
        assert_true(topic(to, words));
    fclose(to);
    return text;
}

static void test_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];
        char *text = printed(c->words, NULL);

        assert_non_null(strstr(text, "exit status:\n  0 "));
        for (size_t k = 0; k < FLAGS; k++) {
            if (c->flags & FLAG_BIT(k))
                assert_non_null(strstr(text, flags_table[k].name));
        }
        free(text);
        text = printed("commands", help_topic_print);
        assert_non_null(strstr(text, c->words));
        free(text);
        text = printed("reference", help_topic_print);
        assert_non_null(strstr(text, c->example));
        free(text);
    }
    assert_false(help_topic_print(stderr, "nonsense"));
    for (size_t i = 0; help_topics[i].name; i++) {
        char *text = printed(help_topics[i].name, help_topic_print), *first = printed("", NULL);
        json_t *json = help_topic_json(&help_topics[i]);

        assert_true(strlen(text) > 100);
        assert_non_null(strstr(first, help_topics[i].name));
        assert_non_null(json);
        json_decref(json);
        free(text);
        free(first);
    }
}

/* What is printed fits a terminal of 80 columns and, but for the commands with the most flags, 24 rows. */
static void fits(const char *what, const char *text, size_t rows_max)
{
    size_t rows = 0;

    for (; *text; rows++) {
        size_t n = strcspn(text, "\n"), columns = 0;

        for (size_t i = 0; i < n; i++)
            columns += ((unsigned char)text[i] & 0xc0) != 0x80;
        if (columns > 80)
            fail_msg("%s: %zu columns: %.*s", what, columns, (int)n, text);
        text += n + (text[n] == '\n');
    }
    if (rows > rows_max)
        fail_msg("%s: %zu rows, not %zu", what, rows, rows_max);
}

static void test_help_fits(void **state)
{
    static const char large[] = "dlq replay,dlq purge,dlq export,delivery resend,delivery discard,"
                                "subscription add,subscription set,event emit,";
    static const char whole[] = "commands reference"; /* tables to be searched */
    char *text = printed("", NULL), words[64];

    (void)state;
    fits("webhookctl", text, 31);
    free(text);
    for (size_t i = 0; i < commands_n; i++) {
        const char *name = commands_table[i].words;

        snprintf(words, sizeof words, "%s,", name);
        text = printed(name, NULL);
        fits(name, text, strstr(large, words) ? 38 : 24);
        free(text);
        args_word(name, 0, words, sizeof words);
        text = printed(words, NULL);
        fits(words, text, 25);
        free(text);
    }
    for (size_t i = 0; help_topics[i].name; i++) {
        text = printed(help_topics[i].name, help_topic_print);
        if (strstr(whole, help_topics[i].name) == NULL)
            fits(help_topics[i].name, text, 26);
        free(text);
    }
}

/* Is the status in what a page says of its exits: in a line of its own, or among the others? */
static bool explains(const char *exits, int code)
{
    char number[16];
    size_t n = (size_t)snprintf(number, sizeof number, " %d", code);

    for (const char *at = strstr(exits, number); at; at = strstr(at + 1, number)) {
        if (at[n] == ' ' || at[n] == ':' || at[n] == '\n')
            return true;
    }
    return false;
}

/* Each status that a row names is explained with it, and none that it does not name. */
static void test_exits_of_commands(void **state)
{
    char word[8];

    (void)state;
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];
        char *text = printed(c->words, NULL);

        for (size_t k = 0; cli_exits[k].meaning; k++) {
            bool named = false;

            for (size_t n = 0; args_word(c->exits, n, word, sizeof word); n++)
                named = named || strtol(word, NULL, 10) == cli_exits[k].code;
            if (named != explains(strstr(text, "exit status:\n"), cli_exits[k].code))
                fail_msg("%s: %d", c->words, cli_exits[k].code);
        }
        assert_true(strstr(c->exits, "1 ") == NULL || cli_exit_of(c->words, CLI_NO) != NULL ||
                    strncmp(c->exits, "0 1 ", 4) != 0);
        free(text);
    }
}

static void test_completion(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *text = printed(shells[i], completion_print);

        assert_non_null(strstr(text, "completion words -- "));
        if (i == 0) {
            FILE *bash = popen("bash -n", "w");

            fputs(text, bash);
            assert_int_equal(pclose(bash), 0);
        }
        free(text);
    }
    assert_false(completion_print(stderr, "tcsh"));
}

static void test_exits(void **state)
{
    static const struct {
        int status;
        const char *code;
        int on_invalid, exit;
    } rows[] = {
        {200, NULL, CLI_USAGE, CLI_OK},
        {202, NULL, CLI_USAGE, CLI_OK},
        {400, NULL, CLI_USAGE, CLI_USAGE},
        {422, NULL, CLI_DATA, CLI_DATA},
        {401, NULL, CLI_USAGE, CLI_DENIED},
        {403, NULL, CLI_USAGE, CLI_DENIED},
        {404, NULL, CLI_USAGE, CLI_NOT_FOUND},
        {409, NULL, CLI_USAGE, CLI_NO},
        {409, "exists", CLI_USAGE, CLI_NO},
        {409, "job_active", CLI_USAGE, CLI_LATER},
        {500, NULL, CLI_USAGE, CLI_INTERNAL},
        {503, NULL, CLI_USAGE, CLI_LATER},
        {507, NULL, CLI_USAGE, CLI_CANNOT_CREATE},
        {405, NULL, CLI_USAGE, CLI_INTERNAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(cli_exit_of_status(rows[i].status, rows[i].code, rows[i].on_invalid),
                         rows[i].exit);
        assert_true(has_meaning(rows[i].exit));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),          cmocka_unit_test(test_values),
        cmocka_unit_test(test_table_is_whole), cmocka_unit_test(test_help),
        cmocka_unit_test(test_help_fits),      cmocka_unit_test(test_exits_of_commands),
        cmocka_unit_test(test_completion),     cmocka_unit_test(test_exits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
