# webhookd: `make demo` shows the whole story, `make test` runs every test, `make help` lists the rest.
BUILD ?= build
ifeq ($(origin CC),default) # make's own default is cc, whatever that is
CC := gcc
endif
SAN ?=
VERSION := 0.1.0
GIT := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

PKGS := libevent libevent_pthreads libcurl sqlite3 libcrypto libssl yaml-0.1 jansson smartcols ncursesw libcares
WARN := -Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
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
# webhookd's memory comes from mimalloc instead of libc (MALLOC= without); the sanitizers bring their own.
MALLOC ?= $(if $(SAN),,-lmimalloc)
LDLIBS_ALL = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm -pthread

LIB_SRC := $(filter-out engine/main.c cli/main.c,$(wildcard base/*.c policy/*.c store/*.c engine/*.c cli/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
UNIT := $(patsubst test/%.c,$(BUILD)/test/%,$(wildcard test/unit/test_*.c test/conformance/test_*.c))

SIM_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard test/sim/*.c))
SIM := $(if $(SIM_OBJ),$(BUILD)/test/sim/sim)
MAN := $(patsubst docs/man/%.in,$(BUILD)/man/%,$(wildcard docs/man/*.in))
FUZZ := $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 20
BENCH := $(patsubst test/bench/%.c,$(BUILD)/bench/%,$(wildcard test/bench/*.c))

DEPS_BUILD := gcc make pkg-config libevent-dev libcurl4-openssl-dev libsqlite3-dev libssl-dev libyaml-dev \
              libjansson-dev libsmartcols-dev libncurses-dev libc-ares-dev libmimalloc-dev ca-certificates python3 sqlite3
DEPS_TEST := libcmocka-dev clang libclang-rt-dev clang-format nginx-light openssl prometheus git \
             mandoc zsh fish python3-jsonschema faketime
DEPS_SOAK := strace
DEPS_BENCH := valgrind strace
missing = $(shell for p in $(1); do dpkg-query -W -f='$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q ^ii || echo $$p; done)
PREFIX ?= /usr/local

.DELETE_ON_ERROR:
.PHONY: all build help deps deps-build demo run test check asan tsan lint soak bench man install clean
all build: $(BUILD)/webhookd $(BUILD)/webhookctl

help:
	@echo 'make            build/webhookd and build/webhookctl'
	@echo 'make demo       the whole story on loopback: trades, an outage, dead letters, a replay'
	@echo 'make run        webhookd in the foreground on webhookd.conf.example, state under var/'
	@echo 'make test       every test; ends with "N passed, N failed"'
	@echo 'make asan tsan  the same under AddressSanitizer+UBSan; store and system tests under ThreadSanitizer'
	@echo 'make fuzz       every parser under libFuzzer, FUZZ_SECONDS=20 each, from the corpus in test/fuzz/corpus'
	@echo 'make lint       layers, banned calls, formatting, documents against tables, both compilers'
	@echo 'make soak       faults for minutes: kill -9 loops, full and failing disks, jumping clocks, large backlogs'
	@echo 'make bench      deliveries per second beside a bare libcurl loop, latency, memory (FULL=1: longer; S=REGEX: these sections)'
	@echo 'make man        the man pages, under build/man: webhookctl(1) webhookd(8) webhookd.conf(5) webhookd-outbox(7)'
	@echo 'make install    to $$(DESTDIR)$$(PREFIX)'
	@echo 'make deps       installs the Debian packages that are missing'

# Installs only what is missing, as root or through sudo; says what.
define install-missing
	@set -e; m="$(strip $(call missing,$(1)))"; if [ -n "$$m" ]; then \
	  echo "deps: installing $$m"; sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq; \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$m >/dev/null; fi
endef
deps-build:
	$(call install-missing,$(DEPS_BUILD))
deps:
	$(call install-missing,$(DEPS_BUILD) $(DEPS_TEST))

# A fresh make, so that pkg-config is asked after the packages are there.
demo: deps-build
	@[ -x $(BUILD)/webhookctl ] || echo 'building webhookd (once, up to a minute) …'
	@$(MAKE) --no-print-directory -s -j2 build
	@python3 test/demo/demo.py $(BUILD)
run: deps-build
	@[ -x $(BUILD)/webhookctl ] || echo 'building webhookd (once, up to a minute) …'
	@$(MAKE) --no-print-directory -s -j2 build
	@sh packaging/run.sh $(BUILD)
test: deps
	@$(MAKE) --no-print-directory -s -j2 build tests
	@python3 test/run.py --build $(BUILD) $(if $(T),--only '$(T)')
check: test
.PHONY: tests
tests: $(UNIT) $(BENCH) $(SIM)
asan: deps
	@$(MAKE) --no-print-directory -s -j2 BUILD=build-asan SAN=address,undefined build tests
	@python3 test/run.py --build build-asan --sanitizer
tsan: deps
	@$(MAKE) --no-print-directory -s -j2 BUILD=build-tsan SAN=thread build tests
	@python3 test/run.py --build build-tsan --sanitizer --only 'store|loop|quota|owners|conformance|outbox|system|threads'
# What is found goes to build-fuzz/corpus; a crash leaves its input in build-fuzz/NAME-crash-….
.PHONY: fuzzers
fuzzers: $(FUZZ:%=$(BUILD)/fuzz/%)
fuzz: deps
	@$(MAKE) --no-print-directory -s -j2 BUILD=build-fuzz CC=clang SAN=fuzzer-no-link,address,undefined fuzzers
	@for f in $(FUZZ); do mkdir -p build-fuzz/corpus/$$f; echo "== $$f"; \
	  build-fuzz/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=build-fuzz/$$f- build-fuzz/corpus/$$f test/fuzz/corpus/$$f || exit 1; done
lint: deps
	@python3 test/lint/lint.py
soak: deps
	$(call install-missing,$(DEPS_SOAK))
	@$(MAKE) --no-print-directory -s -j2 build $(BENCH)
	@python3 test/run.py --build $(BUILD) --soak $(if $(T),--only '$(T)')
# Short by default, FULL=1 long; S=REGEX[/PART] only that. bench-publish: what the last runs left, for readers (docs/bench, README.md).
.PHONY: bench-publish
bench: deps
	$(call install-missing,$(DEPS_BENCH))
	@$(MAKE) --no-print-directory -s -j2 build tests
	@python3 test/bench/bench.py --build $(BUILD) $(if $(FULL),--full) $(if $(S),--only '$(S)')
bench-publish:
	@python3 test/bench/bench.py --build $(BUILD) --publish
man: $(MAN)
install: build man
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/webhookd/docs
	install -m 755 $(BUILD)/webhookd $(DESTDIR)$(PREFIX)/sbin/webhookd
	install -m 755 $(BUILD)/webhookctl $(DESTDIR)$(PREFIX)/bin/webhookctl
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local/|$(PREFIX)/|g' packaging/webhookd.service > $(BUILD)/webhookd.service
	install -m 644 $(BUILD)/webhookd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/webhookd.service
	install -m 644 webhookd.conf.example README.md ARCHITECTURE.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/webhookd/
	install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/webhookd/docs/
	install -d $(DESTDIR)$(PREFIX)/share/doc/webhookd/docs/schema
	install -m 644 docs/schema/*.json $(DESTDIR)$(PREFIX)/share/doc/webhookd/docs/schema/
	install -d $(DESTDIR)$(PREFIX)/share/doc/webhookd/docs/bench
	install -m 644 docs/bench/* $(DESTDIR)$(PREFIX)/share/doc/webhookd/docs/bench/
	for page in $(MAN); do \
	  install -d $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}; \
	  install -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/; done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	  $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(BUILD)/webhookctl completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/webhookctl
	$(BUILD)/webhookctl completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_webhookctl
	$(BUILD)/webhookctl completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/webhookctl.fish
clean:
	rm -rf build build-asan build-tsan build-fuzz build-clang

$(BUILD)/man/%: docs/man/%.in docs/man/generate.py $(BUILD)/webhookd $(BUILD)/webhookctl
	@mkdir -p $(@D)
	python3 docs/man/generate.py $< $(BUILD) > $@
$(BUILD)/libwebhookd.a: $(LIB_OBJ)
	rm -f $@ && ar rcs $@ $^
$(BUILD)/webhookd: $(BUILD)/engine/main.o $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(MALLOC) $(LDLIBS_ALL)
$(BUILD)/webhookctl: $(BUILD)/cli/main.o $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL)
# The dependency names its target by $(BUILD), so that it holds however the folder was spelled.
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -MT '$$(BUILD)/$*.o' -c -o $@ $<
$(BUILD)/test/unit/%: $(BUILD)/test/unit/%.o $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL) -lcmocka
$(BUILD)/test/conformance/%: $(BUILD)/test/conformance/%.o $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL) -lcmocka

$(BUILD)/bench/%: $(BUILD)/test/bench/%.o $(BUILD)/libwebhookd.a
	@mkdir -p $(@D)
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/fuzz/%: $(BUILD)/test/fuzz/%.o $(BUILD)/libwebhookd.a
	@mkdir -p $(@D)
	$(CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS_ALL)
# The simulation links its own clock, dice, loop, transport and store face: they stand before the library, so
# that the linker takes them and leaves the real ones in the archive.
$(BUILD)/test/sim/sim: $(SIM_OBJ) $(BUILD)/libwebhookd.a
	$(CC) $(LDOPT) -o $@ $^ $(LDLIBS_ALL) -lcmocka

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
