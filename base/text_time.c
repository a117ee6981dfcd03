/* base/text_time.c: durations and points in time as text: what is parsed here is what is printed
 * here. */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)
/* 0000-01-01 to 9999-12-31: what RFC 3339 can write. */
#define TIME_MIN_MS INT64_C(-62167219200000)
#define TIME_MAX_MS INT64_C(253402300799999)

static const struct {
    const char *unit;
    int64_t ms;
} units[] = {{"d", DAY_MS}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
#define UNITS_N (sizeof units / sizeof units[0])

bool text_parse_duration(const char *text, int64_t *out_ms)
{
    int64_t v = 0;
    const char *p = text_digits(text, &v);
    if (!p)
        return false;
    if (*p == '\0' && v == 0) {
        *out_ms = 0;
        return true;
    }
    for (size_t i = 0; i < UNITS_N; i++) {
        int64_t ms;
        if (strcmp(p, units[i].unit) != 0)
            continue;
        if (__builtin_mul_overflow(v, units[i].ms, &ms))
            return false;
        *out_ms = ms;
        return true;
    }
    return false;
}

/* The largest unit that leaves no rest: 90000 is "90s", never 1m and something. */
void text_duration(char *out, size_t room, int64_t ms)
{
    size_t i = 0;
    while (i + 1 < UNITS_N && ms % units[i].ms != 0)
        i++;
    if (ms == 0)
        snprintf(out, room, "0s");
    else
        snprintf(out, room, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
}

void text_ago(char *out, size_t room, int64_t ms)
{
    if (ms < 0)
        ms = 0;
    if (ms < 1000) {
        snprintf(out, room, "%lldms", (long long)ms);
        return;
    }
    size_t i = 0;
    while (ms < units[i].ms)
        i++;
    long long first = ms / units[i].ms;
    long long second = units[i].ms > 1000 ? ms % units[i].ms / units[i + 1].ms : 0;
    if (second)
        snprintf(out, room, "%lld%s %lld%s", first, units[i].unit, second, units[i + 1].unit);
    else
        snprintf(out, room, "%lld%s", first, units[i].unit);
}

/* By hand: each body that is sent has a time in it, and strftime with printf costs five times as
 * much. */
static char *put_digits(char *at, int value, int n, char after)
{
    for (int i = n; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    at[n] = after;
    return at + n + 1;
}

char *text_time(char out[TEXT_TIME_MAX], int64_t wall_ms)
{
    int64_t ms = wall_ms < TIME_MIN_MS   ? TIME_MIN_MS
                 : wall_ms > TIME_MAX_MS ? TIME_MAX_MS
                                         : wall_ms;
    int64_t rest = ms % 1000;
    if (rest < 0)
        rest += 1000;
    time_t s = (time_t)((ms - rest) / 1000);
    struct tm t = {0};
    gmtime_r(&s, &t);
    char *at = put_digits(out, t.tm_year + 1900, 4, '-');
    at = put_digits(at, t.tm_mon + 1, 2, '-');
    at = put_digits(at, t.tm_mday, 2, 'T');
    at = put_digits(at, t.tm_hour, 2, ':');
    at = put_digits(at, t.tm_min, 2, ':');
    at = put_digits(at, t.tm_sec, 2, '.');
    *put_digits(at, (int)rest, 3, 'Z') = '\0';
    return out;
}

char *text_time_local(char out[TEXT_TIME_MAX], int64_t wall_ms)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm t = {0};
    char offset[8];

    tzset();
    localtime_r(&s, &t);
    text_time(out, wall_ms + t.tm_gmtoff * 1000);
    long minutes = labs(t.tm_gmtoff) / 60;

    snprintf(offset, sizeof offset, "%c%02ld:%02ld", t.tm_gmtoff < 0 ? '-' : '+',
             minutes / 60 % 100, minutes % 60);
    memcpy(out + strlen("2026-11-22T05:07:41.120"), offset, strlen(offset) + 1);
    return out;
}

/* Exactly n digits; -1: there are none. Moves *p behind them. */
static int digits(const char **p, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if ((*p)[i] < '0' || (*p)[i] > '9')
            return -1;
        v = v * 10 + ((*p)[i] - '0');
    }
    *p += n;
    return v;
}

int text_days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool skip(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

static bool parse_date(const char **p, struct tm *t)
{
    int year = digits(p, 4);
    if (year < 0 || !skip(p, '-'))
        return false;
    int month = digits(p, 2);
    if (month < 1 || month > 12 || !skip(p, '-'))
        return false;
    int day = digits(p, 2);
    if (day < 1 || day > text_days_in_month(year, month))
        return false;
    *t = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return true;
}

/* "05:07:41" and an optional fraction, of which milliseconds count. A leap second is the one
 * before it. */
static bool parse_clock(const char **p, struct tm *t, int *ms)
{
    t->tm_hour = digits(p, 2);
    if (t->tm_hour < 0 || t->tm_hour > 23 || !skip(p, ':'))
        return false;
    t->tm_min = digits(p, 2);
    if (t->tm_min < 0 || t->tm_min > 59 || !skip(p, ':'))
        return false;
    t->tm_sec = digits(p, 2);
    if (t->tm_sec < 0 || t->tm_sec > 60)
        return false;
    if (t->tm_sec == 60)
        t->tm_sec = 59;
    *ms = 0;
    if (!skip(p, '.'))
        return true;
    int scale = 100;
    const char *start = *p;
    for (; **p >= '0' && **p <= '9'; (*p)++, scale /= 10)
        *ms += (**p - '0') * scale;
    return *p > start;
}

static bool parse_offset(const char **p, int *minutes)
{
    *minutes = 0;
    if (skip(p, 'Z') || skip(p, 'z'))
        return true;
    int sign = skip(p, '+') ? 1 : skip(p, '-') ? -1 : 0;
    if (!sign)
        return false;
    int hours = digits(p, 2);
    if (hours < 0 || hours > 23 || !skip(p, ':'))
        return false;
    int rest = digits(p, 2);
    if (rest < 0 || rest > 59)
        return false;
    *minutes = sign * (hours * 60 + rest);
    return true;
}

bool text_parse_time(const char *text, int64_t *out_ms)
{
    struct tm t;
    int ms, offset;
    const char *p = text;
    if (!parse_date(&p, &t) || (!skip(&p, 'T') && !skip(&p, 't') && !skip(&p, ' ')))
        return false;
    if (!parse_clock(&p, &t, &ms) || !parse_offset(&p, &offset) || *p)
        return false;
    *out_ms = ((int64_t)timegm(&t) - offset * 60) * 1000 + ms;
    return true;
}

/* "18:55", "18:55:07": the last time that it was so on a clock of the place, as screens show it. */
static bool parse_wall_clock(const char *text, int64_t now_ms, int64_t *out_ms)
{
    time_t now = (time_t)(now_ms / 1000);
    int hour, minute, second = 0, n = 0;
    struct tm t;
    if (sscanf(text, "%2d:%2d%n", &hour, &minute, &n) != 2 || n != 5)
        return false;
    if (text[n] == ':' && sscanf(text + n, ":%2d%n", &second, &n) == 1 && n == 3)
        n = 8;
    if (strspn(text, "0123456789:") != (size_t)n || text[n] || hour > 23 || minute > 59 ||
        second > 59 || !localtime_r(&now, &t))
        return false;
    t.tm_hour = hour;
    t.tm_min = minute;
    t.tm_sec = second;
    t.tm_isdst = -1;
    time_t at = mktime(&t);
    if (at > now) {
        t.tm_mday--;
        t.tm_isdst = -1;
        at = mktime(&t);
    }
    *out_ms = (int64_t)at * 1000;
    return at != (time_t)-1;
}

/* "2026-11-22T05:07:41", "2026-11-22 05:07": without a zone it is that of the place, as "18:55" is. */
static bool parse_local(const char *text, int64_t *out_ms)
{
    const char *p = text, *start;
    struct tm t;
    int ms = 0;
    if (!parse_date(&p, &t) || (!skip(&p, 'T') && !skip(&p, 't') && !skip(&p, ' ')))
        return false;
    start = p;
    if (!parse_clock(&p, &t, &ms)) {
        p = start;
        t.tm_hour = digits(&p, 2);
        t.tm_min = t.tm_hour >= 0 && skip(&p, ':') ? digits(&p, 2) : -1;
        t.tm_sec = 0;
        if (t.tm_hour > 23 || t.tm_min < 0 || t.tm_min > 59)
            return false;
    }
    t.tm_isdst = -1;
    time_t at = *p ? -1 : mktime(&t);
    if (at != (time_t)-1)
        *out_ms = (int64_t)at * 1000 + ms;
    return at != (time_t)-1;
}

bool text_parse_when(const char *text, int64_t now_ms, int64_t *out_ms)
{
    int64_t ago;
    struct tm t;
    const char *p = text;
    if (strcmp(text, "now") == 0)
        *out_ms = now_ms;
    else if (strcmp(text, "today") == 0)
        *out_ms = now_ms - (now_ms % DAY_MS + DAY_MS) % DAY_MS;
    else if (strcmp(text, "yesterday") == 0)
        *out_ms = now_ms - (now_ms % DAY_MS + DAY_MS) % DAY_MS - DAY_MS;
    else if (parse_wall_clock(text, now_ms, out_ms))
        return true;
    else if (text_parse_duration(text, &ago))
        *out_ms = now_ms - ago;
    else if (parse_date(&p, &t) && !*p)
        *out_ms = (int64_t)timegm(&t) * 1000;
    else
        return text_parse_time(text, out_ms) || parse_local(text, out_ms);
    return true;
}
