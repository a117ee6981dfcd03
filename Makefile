# webhookd: `make demo` shows the whole story, `make test` runs every test, `make help` lists the rest.
BUILD ?= build
CC ?= gcc
SAN ?=
VERSION := 0.1.0
GIT := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

PKGS := libevent libevent_pthreads libcurl sqlite3 libcrypto libssl yaml-0.1 jansson smartcols libcares
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings -Wswitch-enum
cc-option = $(shell echo 'int x;' | $(CC) -Werror $(1) -x c -c -o /dev/null - 2>/dev/null && echo '$(1)')
ifeq ($(SAN),)
OPT := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE \
       $(call cc-option,-fstack-clash-protection) $(call cc-option,-fcf-protection=full) \
       $(call cc-option,-ftrivial-auto-var-init=zero)
LDOPT := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed
else
OPT := -O1 -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
LDOPT := -fsanitize=$(SAN)
endif
CPPFLAGS_ALL = -I. -D_GNU_SOURCE -DWEBHOOKD_VERSION='"$(VERSION)"' -DWEBHOOKD_GIT='"$(GIT)"' $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS_ALL = -std=gnu17 -g -pthread $(WARN) $(if $(WERROR),-Werror) $(OPT) $(CPPFLAGS_ALL) $(CFLAGS)
LDLIBS_ALL = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm -pthread

LIB_SRC := $(filter-out engine/main.c cli/main.c,$(wildcard base/*.c policy/*.c store/*.c engine/*.c cli/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
UNIT := $(patsubst test/%.c,$(BUILD)/test/%,$(wildcard test/unit/test_*.c test/conformance/test_*.c))

.DELETE_ON_ERROR:
.PHONY: all build
all build: $(BUILD)/webhookd $(BUILD)/webhookctl

$(BUILD)/libwebhookd.a: $(LIB_OBJ)
	rm -f $@ && ar rcs $@ $^
$(BUILD)/webhookd: $(BUILD)/engine/main.o $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/webhookctl: $(BUILD)/cli/main.o $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<
$(BUILD)/test/unit/%: $(BUILD)/test/unit/%.o $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL) -lcmocka
$(BUILD)/test/conformance/%: $(BUILD)/test/conformance/%.o $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL) -lcmocka

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
