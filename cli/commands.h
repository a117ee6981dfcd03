/* cli/commands.h: the table of commands and the table of flags (house rule 7). The parser, --help,
 * completion and the reference are all made from these rows. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One name takes a value in all commands or in none, so that a flag may stand before the noun. Two
 * may share a name (--timeout): the command's own is meant where it has one, else the global one. */
enum flag_id {
    FLAG_CONFIG,
    FLAG_OUTPUT,
    FLAG_JSON,
    FLAG_QUIET,
    FLAG_COLUMNS,
    FLAG_NO_HEADERS,
    FLAG_UTC,
    FLAG_LOCAL,
    FLAG_COLOR,
    FLAG_NO_INPUT,
    FLAG_CALL_TIMEOUT, /* --timeout, but where a command has a --timeout of its own */
    FLAG_VERBOSE,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_YES,
    FLAG_DRY_RUN,
    FLAG_SUBSCRIPTION,
    FLAG_EVENT,
    FLAG_TYPE,
    FLAG_CAUSE,
    FLAG_STATUS,
    FLAG_OUTCOME,
    FLAG_SINCE,
    FLAG_UNTIL,
    FLAG_MIN_ATTEMPTS,
    FLAG_MAX_ATTEMPTS,
    FLAG_CONTAINS,
    FLAG_JOB,
    FLAG_IDS_FROM,
    FLAG_ALL,
    FLAG_LIMIT,
    FLAG_ORDER,
    FLAG_STATE, /* --state, like the two below: each has states of its own */
    FLAG_SUB_STATE,
    FLAG_JOB_STATE,
    FLAG_JOB_KIND,
    FLAG_RATE,
    FLAG_NOTE,
    FLAG_WAIT,
    FLAG_DETACH,
    FLAG_IGNORE_EXPIRY,
    FLAG_TO,
    FLAG_CONFIRM,
    FLAG_CONFIRM_NAME,
    FLAG_OLDER_THAN,
    FLAG_EXPORT,
    FLAG_FILE,
    FLAG_FORCE,
    FLAG_FORCE_RAW,
    FLAG_BODY,
    FLAG_ATTEMPT,
    FLAG_CURL,
    FLAG_BY,
    FLAG_RAW,
    FLAG_FOLLOW,
    FLAG_ACTOR,
    FLAG_ACTION,
    FLAG_TARGET,
    FLAG_URL,
    FLAG_EVENTS,
    FLAG_NAME,
    FLAG_PARTNER,
    FLAG_PROFILE,
    FLAG_SECRET_FILE,
    FLAG_BEARER_FILE,
    FLAG_RETRY,
    FLAG_CONCURRENCY,
    FLAG_TIMEOUT,
    FLAG_ORDERING,
    FLAG_ON_DEAD,
    FLAG_HEADER_FILE,
    FLAG_FOR,
    FLAG_OVERLAP,
    FLAG_DATA,
    FLAG_ID,
    FLAG_KEY,
    FLAG_CORRELATION_ID,
    FLAG_EXPIRES_IN,
    FLAG_SOURCE,
    FLAG_ORIGIN,
    FLAG_QUICK,
    FLAG_ENDPOINTS,
    FLAG_VERIFY,
    FLAG_WAL,
    FLAG_TABLE,
    FLAG_WINDOW,
    FLAG_WATCH,
    FLAG_INTERVAL,
    FLAG_COUNT,
    FLAG_SORT,
    FLAG_CANARY,
    FLAG_STOP_AT,
    FLAG_ATTEMPTS,
    FLAGS
};
_Static_assert(FLAGS <= 128, "a command's flags are a mask of 128 bits");
__extension__ typedef unsigned __int128 flag_mask;
#define FLAG_BIT(id) ((flag_mask)1 << (id))

struct flag {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    const char *value; /* what stands for the value in help; NULL: takes none */
    bool many;         /* may be repeated */
    const char *words; /* closed list, for completion: "none key"; NULL: free text */
    const char *help;
};
extern const struct flag flags_table[FLAGS];
/* What every command takes: all that stand before FLAG_YES. */
#define FLAGS_GLOBAL (FLAG_BIT(FLAG_VERSION + 1) - 1)

struct cli;
typedef int command_fn(struct cli *cli); /* returns the exit status */

#define COMMAND_ANY (-1)
struct command {
    const char *words; /* "dlq list" */
    flag_mask flags;   /* beside FLAGS_GLOBAL */
    const char *args;  /* what stands for the arguments in help; "" none */
    int args_min, args_max;
    const char *help, *example;
    const char *exits; /* "0 1 64": rows of cli_exits */
    command_fn *run;
    const char *more; /* a paragraph of its own help; NULL: none */
};
extern const struct command commands_table[];
extern const size_t commands_n;

struct command_alias {
    const char *alias, *word;
};
extern const struct command_alias commands_aliases[]; /* ends with NULL */

/* What is said elsewhere, and what it is called here: suggested, never run. */
struct command_synonym {
    const char *typed; /* a word alone, or behind the noun it stands with: "log tail" */
    const char *meant;
};
extern const struct command_synonym commands_synonyms[]; /* ends with NULL */

/* The functions behind the rows. */
command_fn cmd_dlq_summary, cmd_dlq_list, cmd_dlq_count, cmd_dlq_show, cmd_dlq_replay,
    cmd_dlq_purge, cmd_dlq_restore, cmd_dlq_export, cmd_dlq_import, cmd_dlq_note;
command_fn cmd_job_list, cmd_job_show, cmd_job_watch, cmd_job_pause, cmd_job_resume, cmd_job_cancel,
    cmd_job_set_rate;
command_fn cmd_sub_add, cmd_sub_list, cmd_sub_show, cmd_sub_stats, cmd_sub_pause, cmd_sub_resume,
    cmd_sub_enable, cmd_sub_disable, cmd_sub_set, cmd_sub_test, cmd_sub_delete, cmd_sub_rotate;
command_fn cmd_event_emit, cmd_event_list, cmd_event_show, cmd_event_trace, cmd_event_types;
command_fn cmd_delivery_list, cmd_delivery_show, cmd_delivery_discard, cmd_delivery_resend;
command_fn cmd_attempt_list, cmd_attempt_show, cmd_attempt_tail;
command_fn cmd_partner_add, cmd_partner_list, cmd_audit_list;
command_fn cmd_outbox_init, cmd_outbox_check, cmd_rejects_list, cmd_rejects_show, cmd_rejects_retry,
    cmd_rejects_purge;
command_fn cmd_stats, cmd_monitor, cmd_top;
command_fn cmd_status, cmd_config_check, cmd_config_show, cmd_config_reference;
command_fn cmd_config_diff, cmd_config_reload, cmd_log_level;
command_fn cmd_db_info, cmd_db_schema, cmd_db_check, cmd_db_backup;
command_fn cmd_doctor, cmd_retention_show;
command_fn cmd_egress_check, cmd_egress_show, cmd_egress_pause, cmd_egress_resume;
command_fn cmd_completion, cmd_help, cmd_version;

#endif
