/* cli/out_style.c: see out_style.h. */
#include "cli/out_style.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *word;
    enum out_style style;
} words[] = {
    {"dead", STYLE_BAD},       {"failing", STYLE_BAD},    {"failed", STYLE_BAD},
    {"fail", STYLE_BAD},       {"disabled", STYLE_BAD},   {"broken", STYLE_BAD},
    {"DEAD", STYLE_BAD},       {"FAILING", STYLE_BAD},    {"retrying", STYLE_WAITS},
    {"paused", STYLE_WAITS},   {"held", STYLE_WAITS},     {"stopped", STYLE_WAITS},
    {"warn", STYLE_WAITS},     {"waiting:", STYLE_WAITS}, {"draining", STYLE_WAITS},
    {"delivered", STYLE_GOOD}, {"DELIVERED", STYLE_GOOD}, {"done", STYLE_GOOD},
    {"success", STYLE_GOOD},   {"ok", STYLE_GOOD},        {"healthy", STYLE_GOOD},
    {"ready", STYLE_GOOD},
};

/* By the first word: "failing 53m" is as bad as "failing". */
enum out_style out_style_of(const char *word)
{
    size_t n = strcspn(word, " ,(");

    if (strcmp(word, "done, none delivered") == 0)
        return STYLE_BAD;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) == n && strncmp(words[i].word, word, n) == 0)
            return words[i].style;
    }
    return STYLE_PLAIN;
}

const char *out_style_sequence(enum out_style style)
{
    static const char *const sequences[] = {
        [STYLE_PLAIN] = "",         [STYLE_HEAD] = "\033[1m",  [STYLE_BAD] = "\033[31m",
        [STYLE_WAITS] = "\033[33m", [STYLE_GOOD] = "\033[32m",
    };

    return sequences[style];
}

const char *out_style_clear(void)
{
    return "\033[H\033[2J";
}

void out_styled(struct buf *out, bool color, enum out_style style, const char *text)
{
    bool styled = color && style != STYLE_PLAIN;

    buf_addf(out, "%s%s%s", styled ? out_style_sequence(style) : "", text, styled ? "\033[0m" : "");
}
