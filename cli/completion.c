/* cli/completion.c: completion scripts for bash, zsh and fish, from the rows of commands.c. */
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/out.h"

#define GROUPS_MAX 64

/* Every proper prefix of a command, once: "", "dlq", "outbox", "outbox rejects", … */
static size_t groups(char out[GROUPS_MAX][64])
{
    size_t n = 1;

    out[0][0] = '\0';
    for (size_t i = 0; i < commands_n; i++) {
        const char *words = commands_table[i].words;

        for (const char *blank = strchr(words, ' '); blank; blank = strchr(blank + 1, ' ')) {
            size_t len = (size_t)(blank - words), k = 0;

            while (k < n && (strncmp(out[k], words, len) != 0 || out[k][len] != '\0'))
                k++;
            if (k == n && n < GROUPS_MAX && len < sizeof out[n]) {
                memcpy(out[n], words, len);
                out[n++][len] = '\0';
            }
        }
    }
    return n;
}

/* The words that may follow a group, each once. */
static void followers(FILE *to, const char *group)
{
    size_t n = strlen(group);
    char seen[2048] = " ", word[40], key[48];

    for (size_t i = 0; i < commands_n; i++) {
        const char *words = commands_table[i].words;

        if (n > 0 && (strncmp(words, group, n) != 0 || words[n] != ' '))
            continue;
        args_word(words + n + (n > 0), 0, word, sizeof word);
        snprintf(key, sizeof key, " %s ", word);
        if (strstr(seen, key) != NULL || strlen(seen) + strlen(word) + 2 > sizeof seen)
            continue;
        memcpy(seen + strlen(seen), key + 1, strlen(key));
        fprintf(to, "%s ", word);
    }
    for (size_t i = 0; n == 0 && commands_aliases[i].alias; i++)
        fprintf(to, "%s ", commands_aliases[i].alias);
}

/* "-c|--config|…": flags whose value stands in the next word. */
static void bash_flags_with_values(FILE *to)
{
    const char *bar = "";

    for (size_t i = 0; i < FLAGS; i++) {
        if (flags_table[i].value == NULL)
            continue;
        fprintf(to, "%s--%s", bar, flags_table[i].name);
        bar = "|";
        if (flags_table[i].letter)
            fprintf(to, "|-%c", flags_table[i].letter);
    }
}

static void bash_values(FILE *to)
{
    fputs("    case $prev in\n", to);
    for (size_t i = 0; i < FLAGS; i++) {
        const struct flag *f = &flags_table[i];

        if (f->words == NULL)
            continue;
        fprintf(to, "    --%s", f->name);
        if (f->letter)
            fprintf(to, "|-%c", f->letter);
        fprintf(to, ") COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", f->words);
    }
    fputs("    -c|--config|-f|--file|--ids-from|--secret-file|--bearer-file|--header-file)\n"
          "        COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
          "    -s|--subscription) COMPREPLY=($(compgen -W \"$(_webhookctl_names)\" -- \"$cur\")); "
          "return ;;\n    ",
          to);
    bash_flags_with_values(to);
    fputs(") return ;;\n    esac\n", to);
}

/* What is there now, asked of webhookctl itself: names of subscriptions, ids of the rest. */
static void bash_arguments(FILE *to)
{
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];
        const char *list = strncmp(c->words, "job ", 4) == 0        ? "job list --limit 20"
                           : strncmp(c->words, "dlq ", 4) == 0      ? "dlq list"
                           : strncmp(c->words, "delivery ", 9) == 0 ? "delivery list"
                           : strncmp(c->words, "event ", 6) == 0    ? "event list"
                                                                    : NULL;

        if (strcmp(c->args, "NAME|ID") == 0)
            fprintf(to,
                    "    \"%s\") COMPREPLY=($(compgen -W \"$(_webhookctl_names)\" -- \"$cur\")) "
                    ";;\n",
                    c->words);
        else if (strstr(c->args, "ID") != NULL && list != NULL)
            fprintf(to,
                    "    \"%s\"*) COMPREPLY=($(compgen -W \"$(_webhookctl_ask %s -o id)\" -- "
                    "\"$cur\")) ;;\n",
                    c->words, list);
    }
    fputs("    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\")) ;;\n"
          "    \"outbox init\"|\"outbox check\"|\"config check\") COMPREPLY=($(compgen -f -- "
          "\"$cur\")) ;;\n",
          to);
}

static void bash_flag_names(FILE *to)
{
    fputs("    if [[ $cur == -* ]]; then\n        case $words in\n", to);
    for (size_t i = 0; i < commands_n; i++) {
        fprintf(to, "        \"%s\"*) COMPREPLY=($(compgen -W '", commands_table[i].words);
        for (size_t k = 0; k < FLAGS; k++) {
            if ((commands_table[i].flags | FLAGS_GLOBAL) & FLAG_BIT(k))
                fprintf(to, "--%s ", flags_table[k].name);
        }
        fputs("' -- \"$cur\")) ;;\n", to);
    }
    fputs(
        "        *) COMPREPLY=($(compgen -W '--config --output --help --version' -- \"$cur\")) ;;\n"
        "        esac\n        return\n    fi\n",
        to);
}

static const char bash_head[] =
    "_webhookctl_ask() { webhookctl \"${conf[@]}\" \"$@\" 2>/dev/null </dev/null; }\n"
    "_webhookctl_names() {\n"
    "    _webhookctl_ask sub list -o jsonl --all | sed -n 's/.*\"name\":\"\\([^\"]*\\)\".*/\\1/p'\n"
    "}\n"
    "_webhookctl() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= i w\n"
    "    local -a conf=()\n"
    "    # bash takes --flag=value apart\n"
    "    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    [[ $cur == = ]] && cur=\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        w=${COMP_WORDS[i]}\n"
    "        [[ ${COMP_WORDS[i+1]} == = ]] && ((i++))\n"
    "        [[ $w == -c || $w == --config ]] && conf=(-c \"${COMP_WORDS[i+1]}\")\n"
    "        case $w in\n";

static void bash_print(FILE *to)
{
    char all[GROUPS_MAX][64];
    size_t n = groups(all);

    fprintf(to, "# bash completion for webhookctl, made by: webhookctl completion bash\n%s        ",
            bash_head);
    bash_flags_with_values(to);
    fputs(") ((i++)) ;;\n        -*) ;;\n", to);
    for (size_t i = 0; commands_aliases[i].alias; i++)
        fprintf(to, "        %s) words=\"${words:+$words }%s\" ;;\n", commands_aliases[i].alias,
                commands_aliases[i].word);
    fputs("        *) words=\"${words:+$words }$w\" ;;\n"
          "        esac\n"
          "    done\n",
          to);
    bash_values(to);
    bash_flag_names(to);
    fputs("    case $words in\n", to);
    for (size_t i = 0; i < n; i++) {
        fprintf(to, "    \"%s\") COMPREPLY=($(compgen -W '", all[i]);
        followers(to, all[i]);
        fputs("' -- \"$cur\")) ;;\n", to);
    }
    bash_arguments(to);
    fputs("    esac\n}\ncomplete -F _webhookctl webhookctl\n", to);
}

static void fish_print(FILE *to)
{
    char all[GROUPS_MAX][64];
    size_t n = groups(all);

    fputs("# fish completion for webhookctl, made by: webhookctl completion fish\n"
          "function __webhookctl_words\n"
          "    set -l words (string match -v -- '-*' (commandline -opc)[2..-1])\n"
          "    test \"$words\" = \"$argv\"\n"
          "end\n"
          "function __webhookctl_in\n"
          "    string match -q -- \"$argv*\" (string join ' ' (string match -v -- '-*' "
          "(commandline -opc)[2..-1]))\n"
          "end\n"
          "complete -c webhookctl -f\n",
          to);
    for (size_t i = 0; i < n; i++) {
        fprintf(to, "complete -c webhookctl -n '__webhookctl_words %s' -a '", all[i]);
        followers(to, all[i]);
        fputs("'\n", to);
    }
    for (size_t i = 0; i < commands_n; i++) {
        for (size_t k = 0; k < FLAGS; k++) {
            const struct flag *f = &flags_table[k];

            if (!((commands_table[i].flags | FLAGS_GLOBAL) & FLAG_BIT(k)))
                continue;
            fprintf(to, "complete -c webhookctl -n '__webhookctl_in %s' -l %s",
                    commands_table[i].words, f->name);
            if (f->letter)
                fprintf(to, " -s %c", f->letter);
            if (f->words != NULL)
                fprintf(to, " -x -a '%s'", f->words);
            else if (f->value != NULL)
                fputs(" -r -F", to);
            fputc('\n', to);
        }
    }
}

bool completion_print(FILE *to, const char *shell)
{
    if (strcmp(shell, "bash") == 0) {
        bash_print(to);
    } else if (strcmp(shell, "zsh") == 0) {
        /* zsh runs bash's function: one generator less to be wrong. */
        fputs("#compdef webhookctl\nautoload -U +X bashcompinit && bashcompinit\n", to);
        bash_print(to);
    } else if (strcmp(shell, "fish") == 0) {
        fish_print(to);
    } else {
        return false;
    }
    return true;
}
