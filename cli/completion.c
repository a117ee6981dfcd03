/* cli/completion.c: the completion scripts of bash, zsh and fish. They know nothing: each asks
 * `webhookctl completion words -- WORDS… CURRENT` (completion_words.c), so that they are never older
 * than the program. The first line ":files" hands over to the shell's own completion of files. */
#include <string.h>

#include "cli/help.h"

/* bash takes words apart at : and =, and wants back only what comes behind the last of them. */
static const char bash[] =
    "# bash completion for webhookctl, made by: webhookctl completion bash\n"
    "_webhookctl() {\n"
    "    local rest=${COMP_LINE:0:COMP_POINT} word line prefix i\n"
    "    local -a words=() lines=()\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $i == 0 || $rest == [[:space:]]* ]]; then\n"
    "            rest=${rest#\"${rest%%[![:space:]]*}\"}\n"
    "            words+=(\"\")\n"
    "        fi\n"
    "        [[ $i == \"$COMP_CWORD\" ]] && word=$rest\n"
    "        words[${#words[@]} - 1]+=$word\n"
    "        rest=${rest#\"$word\"}\n"
    "    done\n"
    "    COMPREPLY=()\n"
    "    mapfile -t lines < <(\"${words[0]/#\\~/$HOME}\" completion words -- \"${words[@]:1}\" "
    "2>/dev/null </dev/null)\n"
    "    word=${words[${#words[@]} - 1]}\n"
    "    prefix=${word%\"${word##*[=:]}\"}\n"
    "    if [[ ${lines[0]} == :files ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"${word#\"$prefix\"}\")\n"
    "        return\n"
    "    fi\n"
    "    for line in \"${lines[@]}\"; do\n"
    "        line=${line%%$'\\t'*}\n"
    "        COMPREPLY+=(\"${line#\"$prefix\"}\")\n"
    "    done\n"
    "    if [[ ${COMPREPLY[0]} == *= ]]; then\n"
    "        compopt -o nospace 2>/dev/null\n"
    "    fi\n"
    "}\n"
    "complete -F _webhookctl webhookctl\n";

static const char zsh[] =
    "#compdef webhookctl\n"
    "# zsh completion for webhookctl, made by: webhookctl completion zsh\n"
    "_webhookctl() {\n"
    "    local -a lines described\n"
    "    local line word\n"
    "    local -a ends\n"
    "    lines=(\"${(@f)$(${(Q)~words[1]} completion words -- \"${(@Q)words[2,CURRENT-1]}\" "
    "\"${(Q)PREFIX}\" 2>/dev/null </dev/null)}\")\n"
    "    if [[ $lines[1] == :files ]]; then\n"
    "        _files\n"
    "        return\n"
    "    fi\n"
    "    for line in $lines; do\n"
    "        word=${${line%%$'\\t'*}//:/\\\\:}\n"
    "        [[ $line == *$'\\t'* ]] && word+=:${line#*$'\\t'}\n"
    "        described+=(\"$word\")\n"
    "    done\n"
    "    [[ ${lines[1]%%$'\\t'*} == *= ]] && ends=(-S '')\n"
    "    (( $#described )) && _describe -t words webhookctl described \"${ends[@]}\"\n"
    "}\n"
    "if [[ $funcstack[1] == _webhookctl ]]; then _webhookctl \"$@\"; else compdef _webhookctl "
    "webhookctl; fi\n";

static const char fish[] =
    "# fish completion for webhookctl, made by: webhookctl completion fish\n"
    "function __webhookctl_words\n"
    "    set -l words (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    set -l lines ($words[1] completion words -- $words[2..-1] \"$current\" 2>/dev/null "
    "</dev/null)\n"
    "    if test \"$lines[1]\" = :files\n"
    "        __fish_complete_path $current\n"
    "    else\n"
    "        string join \\n -- $lines\n"
    "    end\n"
    "end\n"
    "complete -c webhookctl -f -a '(__webhookctl_words)'\n";

bool completion_print(FILE *to, const char *shell)
{
    const char *script = strcmp(shell, "bash") == 0   ? bash
                         : strcmp(shell, "zsh") == 0  ? zsh
                         : strcmp(shell, "fish") == 0 ? fish
                                                      : NULL;

    if (script != NULL)
        fputs(script, to);
    return script != NULL;
}
