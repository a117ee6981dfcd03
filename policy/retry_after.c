/* policy/retry_after.c: Retry-After, RFC 9110 10.2.3: a number of seconds, or one of the three
 * dates of 5.6.7:
 *
 *   Sun, 06 Nov 1994 08:49:37 GMT     IMF-fixdate
 *   Sunday, 06-Nov-94 08:49:37 GMT    RFC 850; two digits of the year, at most 50 years ahead
 *   Sun Nov  6 08:49:37 1994          asctime
 *
 * By hand, because strptime() reads the locale's names and forgives what HTTP does not. The
 * weekday must be one, but is not held against the date: senders get it wrong. */
#include "policy/retry.h"

#include <string.h>
#include <time.h>

#include "base/text.h"

#define HUNDRED_YEARS_S INT64_C(3155760000)

struct reader {
    const char *p; /* NUL-terminated */
    bool bad;
};

static void expect(struct reader *r, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(r->p, text, n) != 0)
        r->bad = true;
    else
        r->p += n;
}

/* Exactly n digits; a blank may stand for the first where blank is set (asctime's day). */
static int number(struct reader *r, int n, bool blank)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        char c = r->p[i];
        if (blank && i == 0 && c == ' ')
            c = '0';
        if (c < '0' || c > '9') {
            r->bad = true;
            return 0;
        }
        v = v * 10 + (c - '0');
    }
    r->p += n;
    return v;
}

/* The index of the name that stands at r. */
static int name(struct reader *r, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(r->p, names[i], len) == 0) {
            r->p += len;
            return i;
        }
    }
    r->bad = true;
    return 0;
}

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const short_days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

static void read_clock(struct reader *r, struct tm *t)
{
    t->tm_hour = number(r, 2, false);
    expect(r, ":");
    t->tm_min = number(r, 2, false);
    expect(r, ":");
    t->tm_sec = number(r, 2, false);
}

static int year_of(int64_t wall_ms)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm t = {0};
    gmtime_r(&s, &t);
    return t.tm_year + 1900;
}

static bool read_fixdate(const char *text, struct tm *t)
{
    struct reader r = {text, false};
    name(&r, short_days, 7);
    expect(&r, ", ");
    t->tm_mday = number(&r, 2, false);
    expect(&r, " ");
    t->tm_mon = name(&r, months, 12);
    expect(&r, " ");
    t->tm_year = number(&r, 4, false) - 1900;
    expect(&r, " ");
    read_clock(&r, t);
    expect(&r, " GMT");
    return !r.bad && !*r.p;
}

static bool read_rfc850(const char *text, int now_year, struct tm *t)
{
    struct reader r = {text, false};
    name(&r, long_days, 7);
    expect(&r, ", ");
    t->tm_mday = number(&r, 2, false);
    expect(&r, "-");
    t->tm_mon = name(&r, months, 12);
    expect(&r, "-");
    int year = now_year - now_year % 100 + number(&r, 2, false);
    /* The year nearest to now, but more than 50 ahead means the past century. */
    if (year > now_year + 50)
        year -= 100;
    else if (year <= now_year - 50)
        year += 100;
    t->tm_year = year - 1900;
    expect(&r, " ");
    read_clock(&r, t);
    expect(&r, " GMT");
    return !r.bad && !*r.p;
}

static bool read_asctime(const char *text, struct tm *t)
{
    struct reader r = {text, false};
    name(&r, short_days, 7);
    expect(&r, " ");
    t->tm_mon = name(&r, months, 12);
    expect(&r, " ");
    t->tm_mday = number(&r, 2, true);
    expect(&r, " ");
    read_clock(&r, t);
    expect(&r, " ");
    t->tm_year = number(&r, 4, false) - 1900;
    return !r.bad && !*r.p;
}

/* timegm() would carry 31 February over into March. */
static bool is_date(const struct tm *t)
{
    int most = text_days_in_month(t->tm_year + 1900, t->tm_mon + 1);
    return t->tm_mday >= 1 && t->tm_mday <= most && t->tm_hour <= 23 && t->tm_min <= 59 &&
           t->tm_sec <= 60;
}

static int64_t parse_seconds(const char *value, size_t n)
{
    int64_t s = 0;
    for (size_t i = 0; i < n; i++) {
        if (value[i] < '0' || value[i] > '9')
            return -1;
        s = s * 10 + (value[i] - '0');
        if (s > HUNDRED_YEARS_S)
            s = HUNDRED_YEARS_S; /* and stays there: the rest must be digits all the same */
    }
    return s;
}

int64_t retry_after_parse(const char *value, size_t n, int64_t now_wall_ms)
{
    while (n > 0 && (value[0] == ' ' || value[0] == '\t'))
        value++, n--;
    while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        n--;
    if (n == 0)
        return -1;
    if (value[0] >= '0' && value[0] <= '9') {
        int64_t s = parse_seconds(value, n);
        return s < 0 ? -1 : s * 1000;
    }
    char text[48];
    if (n >= sizeof text || memchr(value, '\0', n))
        return -1;
    memcpy(text, value, n);
    text[n] = '\0';
    struct tm t = {0}, t850 = {0}, tasc = {0};
    if (read_rfc850(text, year_of(now_wall_ms), &t850))
        t = t850;
    else if (read_asctime(text, &tasc))
        t = tasc;
    else if (!read_fixdate(text, &t))
        return -1;
    if (!is_date(&t))
        return -1;
    int64_t delay = (int64_t)timegm(&t) * 1000 - now_wall_ms;
    if (delay <= 0)
        return 0;
    return delay < HUNDRED_YEARS_S * 1000 ? delay : HUNDRED_YEARS_S * 1000;
}
