/* cli/cli.h: what every command gets: the parsed arguments, the terminals, the way to the daemon;
 * and the table of exit codes, the only one.
 *
 *   argv ─▶ args.c (by the rows of commands.c) ─▶ cmd_*.c ─▶ client.c ─▶ daemon, or the store itself
 *                                                   └────▶ out.c ─▶ tables, JSON, messages */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/args.h"
#include "policy/conf.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_NO = 1,
    CLI_PARTIAL = 3,
    CLI_NOT_FOUND = 4,
    CLI_USAGE = 64,
    CLI_DATA = 65,
    CLI_NO_INPUT = 66,
    CLI_UNREACHABLE = 69,
    CLI_INTERNAL = 70,
    CLI_CANNOT_CREATE = 73,
    CLI_IO = 74,
    CLI_LATER = 75,
    CLI_DENIED = 77,
    CLI_CONFIG = 78,
    CLI_INTERRUPTED = 130,
    CLI_PIPE = 141,
};
struct cli_exit_row {
    int code;
    const char *meaning;
};
extern const struct cli_exit_row cli_exits[]; /* ends with meaning NULL */
/* What a status means of that command ("dlq replay"); NULL: no more than of all. */
const char *cli_exit_of(const char *words, int code);
/* Exit code for an HTTP answer that is not 2xx. code: the error object's, may be NULL. on_invalid:
 * whose mistake a 400 or 422 is: CLI_USAGE (flags) or CLI_DATA (input). */
int cli_exit_of_status(int status, const char *code, int on_invalid);

enum out_format { OUT_TABLE, OUT_JSON, OUT_JSONL, OUT_ID };
enum out_times { OUT_TIMES_AUTO, OUT_TIMES_UTC, OUT_TIMES_LOCAL }; /* auto: ago on a terminal */

struct client;
struct cli {
    const struct args *args;
    enum out_format format;
    enum out_times times;
    bool in_tty; /* somebody can be asked: terminals to read from and to ask on, no --no-input */
    bool out_tty, err_tty;
    bool out_color, err_color; /* out_style.h */
    bool headers;
    const char *columns; /* --columns; NULL: the table's own */
    bool verbose;
    int64_t timeout_ms; /* of one request */
    int *refused; /* exit status of what only a table could see: --columns with a wrong name */
    const char *config_file;
    struct conf *conf;     /* NULL until cli_conf() */
    char *socket;          /* where webhookd listens; NULL until cli_socket() */
    struct client *client; /* NULL until the first call */
};

/* The whole program; returns the exit status. */
int cli_run(int argc, char **argv);
/* What the terminals are, and then (globals.c) what the global flags say: 0, or 64 with a message.
 */
void globals_terminals(struct cli *cli);
int globals_read(struct cli *cli);
/* How an error is told where the line could not be read to its end: as far as it was. */
void globals_format(struct cli *cli);

/* Loads the configuration once; 0, or 78 with every mistake printed. */
int cli_conf(struct cli *cli);
/* What a running webhookd is asked with needs no more than its socket: 0 where that is known, though
 * the file has mistakes; then conf stays NULL and one line warns of them. Else as cli_conf(). */
int cli_socket(struct cli *cli);
/* Value of a flag, NULL: not given ("" for one without a value). */
const char *cli_flag(const struct cli *cli, enum flag_id id);
/* Standard output is a terminal that can be written over. */
bool cli_screen(const struct cli *cli);
/* Asks on the terminal; 0: yes, else CLI_USAGE with a message that names --yes, or 130 after ^C. */
int cli_confirm(const struct cli *cli, const char *question);
/* Says that standard input is read, where a person would wonder what is waited for. */
void cli_reads_stdin(void);
/* text_read_file(), "-" being standard input, which is said. */
enum err_code cli_read_file(const char *path, size_t cap_bytes, struct buf *out, struct err *err);
/* Why nobody can be asked, where !in_tty: for "refusing without --yes: %s". */
const char *cli_no_asking(const struct cli *cli);
/* One line from the terminal, without the newline. 0; else nobody answered (^D: 64, ^C: 130), which
 * was said. */
int cli_ask(const struct cli *cli, const char *question, char *out, size_t room);

#endif
