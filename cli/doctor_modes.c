/* cli/doctor_modes.c: files and folders that stand open to everybody: who may write into a folder may put
 * a file of his own in the place of ours, whatever the file's mode is. Where the folder is sticky (/tmp) he
 * may not. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "base/url.h"
#include "cli/doctor.h"
#include "cli/out.h"

enum { FOLDERS_MAX = 64 };

/* One open folder may hold several of the files, and is mended once. */
static bool is_said(const struct doctor *d, const char *fix)
{
    const json_t *item;
    size_t i;

    json_array_foreach(d->items, i, item)
    {
        const char *its = out_string(item, "fix");

        if (its != NULL && strcmp(its, fix) == 0)
            return true;
    }
    return false;
}

/* From the file's folder to the root. */
static void folders(struct doctor *d, const char *check, const char *file)
{
    char folder[4096], above[4096], fix[4200];
    struct stat st;

    text_folder(folder, sizeof folder, file);
    for (int i = 0; i < FOLDERS_MAX; i++) {
        bool open = stat(folder, &st) == 0 && (st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH;

        snprintf(fix, sizeof fix, "chmod o-w %s", folder);
        if (open && !is_said(d, fix))
            doctor_say(d, check, DOCTOR_FAIL, fix,
                       "everybody can write to %s (mode %04o), and put another file in the place "
                       "of %s",
                       folder, (unsigned)st.st_mode & 07777, file);
        text_folder(above, sizeof above, folder);
        if (strcmp(above, folder) == 0 || strcmp(folder, ".") == 0)
            return;
        text_copy(folder, sizeof folder, above);
    }
}

static void store_file(struct doctor *d, const char *path, const char *suffix)
{
    char file[4096], fix[4200];
    struct stat st;

    snprintf(file, sizeof file, "%s%s", path, suffix);
    if (stat(file, &st) != 0 || (st.st_mode & 077) == 0)
        return;
    bool writable = (st.st_mode & 022) != 0;

    snprintf(fix, sizeof fix, "chmod 600 %s", file);
    doctor_say(d, "store file", writable ? DOCTOR_FAIL : DOCTOR_WARN, fix,
               "others can %s %s (mode %04o)", writable ? "write to" : "read", file,
               (unsigned)st.st_mode & 07777);
}

static void outbox_file(struct doctor *d, const struct conf_outbox *o)
{
    const char *path = url_sqlite_path(o->url);
    char check[300], fix[4200];
    struct stat st;

    if (path == NULL)
        return;
    snprintf(check, sizeof check, "outbox folder %s", o->name);
    folders(d, check, path);
    if (stat(path, &st) != 0 || (st.st_mode & S_IWOTH) == 0)
        return;
    snprintf(check, sizeof check, "outbox file %s", o->name);
    snprintf(fix, sizeof fix, "chmod o-w %s", path);
    doctor_say(d, check, DOCTOR_FAIL, fix,
               "everybody can write to %s (mode %04o): events that nobody accepted", path,
               (unsigned)st.st_mode & 07777);
}

void doctor_modes(struct doctor *d)
{
    const struct conf *conf = d->cli->conf;
    const char *store = url_sqlite_path(conf->store_url);

    folders(d, "configuration folder", d->cli->config_file);
    folders(d, "key folder", conf->encryption_key_file);
    folders(d, "socket folder", d->cli->socket ? d->cli->socket : conf->listen_socket);
    if (store != NULL) {
        folders(d, "store folder", store);
        store_file(d, store, "");
        store_file(d, store, "-wal");
    }
    for (size_t i = 0; i < conf->outbox_n; i++)
        outbox_file(d, &conf->outbox[i]);
}
