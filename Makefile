# Larder. `make help` lists what there is. Quiet unless V=1; BUILD= another build directory.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION)
PREFIX ?= /usr
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/larder
PLUGINDIR ?= $(PREFIX)/lib/$(shell $(CC) -print-multiarch 2>/dev/null)/slurm-wlm
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share/larder
SYSCONFDIR ?= /etc
UNITDIR ?= /lib/systemd/system
BUILD ?= build
CC ?= gcc
PKG_CONFIG ?= pkg-config
# Another Slurm than the system's: make SLURM_CFLAGS=-I/opt/slurm/include SLURM_LIBS='-L… -lslurm'
SLURM_CFLAGS ?=
SLURM_LIBS ?= -lslurm

WARN := -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wformat=2 -Wstrict-prototypes \
	-Wmissing-prototypes -Wundef -Wcast-qual -Wcast-align -Wpointer-arith -Wvla -Wswitch-enum \
	-Wimplicit-fallthrough -Wnull-dereference $(if $(WERROR),-Werror)
OPT ?= -O2 -g
HARDEN ?= -D_FORTIFY_SOURCE=3 -fstack-protector-strong
CPPFLAGS += -D_GNU_SOURCE -Iinclude -Idaemon
ALL_CFLAGS = -std=gnu17 $(OPT) $(HARDEN) $(WARN) -fPIC $(SAN) $(CFLAGS)
ALL_LDFLAGS = -Wl,-z,relro,-z,now,--as-needed $(SAN) $(LDFLAGS)

REACH_PKGS := libcurl expat jansson libcrypto
FLEET_PKGS := $(REACH_PKGS) libmicrohttpd libsodium
DAEMON_PKGS := liburing sqlite3 libconfuse libsystemd $(FLEET_PKGS)
SCHED_PKGS := libconfuse libsystemd $(FLEET_PKGS)
ALL_PKGS := $(DAEMON_PKGS) $(SCHED_PKGS)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(ALL_PKGS) 2>/dev/null)

src = $(wildcard $(1)/*.c)
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(call src,$(1)))
LIB_OBJ := $(call obj,daemon/lib)
CORE_OBJ := $(call obj,daemon/core)
REACH_OBJ := $(call obj,daemon/origin) $(call obj,daemon/scan)
# What scan reads with; larderd has it with the rest of its room.
ENGINE_OBJ := $(patsubst %,$(BUILD)/obj/daemon/xfer/%.o,engine sync uring uring_stream uring_whole)
FLEET_OBJ := $(call obj,daemon/fleet)
CONF_OBJ := $(call obj,daemon/conf) $(call obj,daemon/log)
DAEMON_OBJ := $(CONF_OBJ) $(call obj,daemon/store) $(call obj,daemon/xfer) $(call obj,daemon/server)
SPANK_OBJ := $(call obj,spank)
CTL_OBJ := $(call obj,daemon/ctl)
# What brings thirty libraries along: only larder-whole has it (daemon/ctl/whole.h).
CTL_FAR_OBJ := $(patsubst %,$(BUILD)/obj/daemon/ctl/%.o,network publish publish_url scanning catalog_check whole_here)
CTL_NEAR_OBJ := $(BUILD)/obj/daemon/ctl/whole_elsewhere.o
# Without what needs libslurm: for the unit tests.
SCHED_OBJ := $(filter-out %/main.o %/slurm.o %/slurm_helper.o %/publisher.o,$(call obj,daemon/sched))
# begin.o is a program of its own.
PROLOG_OBJ := $(filter-out %/begin.o,$(call obj,daemon/prolog))
UNIT_SRC := $(call src,tests/unit)
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(filter tests/unit/test_%.c,$(UNIT_SRC)))
UNIT_HELP := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out tests/unit/test_%.c,$(UNIT_SRC)))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(call src,tests/fuzz))
PROGRAMS := $(BUILD)/spank_larder.so $(BUILD)/larderd $(BUILD)/larder $(BUILD)/larder-whole \
	$(BUILD)/larder-slurm-helper $(BUILD)/larder-sched $(BUILD)/larder-prolog-slurmctld $(BUILD)/larder-prolog-stage
MANPAGES := $(wildcard daemon/*.[158] spank/*.8 etc/*.5 daemon/*/*.[158])

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s%s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$@)')

.PHONY: all
all: $(PROGRAMS) ## build plugin, daemons, CLI and helper

$(BUILD)/obj/%.o: %.c
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(SLURM_CFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Only who prints the version is compiled with it: a compiler cache can serve all the rest.
$(patsubst %.c,$(BUILD)/obj/%.o,$(shell grep -rlw --include=*.c LARDER_VERSION daemon spank)): \
	CPPFLAGS += -DLARDER_VERSION='"$(VERSION)"'
# `make` and then `make install PREFIX=…` are two places: this one is compiled anew.
$(CTL_NEAR_OBJ): CPPFLAGS += -DLARDER_LIBEXECDIR='"$(LIBEXECDIR)"'
$(CTL_NEAR_OBJ): $(BUILD)/libexecdir
$(BUILD)/libexecdir: .FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(LIBEXECDIR)' | cmp -s - $@ || echo '$(LIBEXECDIR)' >$@
.PHONY: .FORCE

$(BUILD)/liblarder.a: $(LIB_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Who only asks needs no server.
$(BUILD)/fleet.a: $(FLEET_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/spank_larder.so: $(SPANK_OBJ) $(BUILD)/liblarder.a spank/spank_larder.map
	$(call say,LD)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -Wl,--version-script=spank/spank_larder.map -o $@ $(SPANK_OBJ) $(BUILD)/liblarder.a

$(BUILD)/larderd: $(BUILD)/obj/daemon/main.o $(DAEMON_OBJ) $(REACH_OBJ) $(FLEET_OBJ) $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs $(DAEMON_PKGS)) -lmunge -lpthread -lm

# Its start is the better part of most commands: it needs the C library alone.
$(BUILD)/larder: $(filter-out $(CTL_FAR_OBJ),$(CTL_OBJ)) $(CORE_OBJ) $(BUILD)/liblarder.a | $(BUILD)/larder-whole
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lpthread -lm

$(BUILD)/larder-whole: $(filter-out $(CTL_NEAR_OBJ),$(CTL_OBJ)) $(REACH_OBJ) $(ENGINE_OBJ) $(CORE_OBJ) $(BUILD)/fleet.a $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs liburing $(FLEET_PKGS)) -lmunge -lpthread -lm

$(BUILD)/larder-prolog-slurmctld: $(patsubst %,$(BUILD)/obj/daemon/prolog/%.o,begin job) $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ -lm

$(BUILD)/larder-prolog-stage: $(PROLOG_OBJ) $(BUILD)/obj/daemon/conf/text.o $(CORE_OBJ) $(BUILD)/fleet.a $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs $(FLEET_PKGS)) -lmunge -lpthread -lm

$(BUILD)/larder-slurm-helper: $(call obj,daemon/helper) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(SLURM_LIBS)

$(BUILD)/larder-sched: $(call obj,daemon/sched) $(CONF_OBJ) $(FLEET_OBJ) $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(SLURM_LIBS) $(shell $(PKG_CONFIG) --libs $(SCHED_PKGS)) -lmunge -lpthread -lm

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_HELP) $(DAEMON_OBJ) $(SCHED_OBJ) $(REACH_OBJ) $(FLEET_OBJ) $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(shell $(PKG_CONFIG) --libs $(DAEMON_PKGS) cmocka) -lmunge -lpthread -lm

$(BUILD)/tests/test_prolog: $(filter-out %/main.o,$(PROLOG_OBJ))

# Tests of the plugin bring their own Slurm (spank_host.c).
$(filter $(BUILD)/tests/test_spank_%,$(UNIT_BIN)): $(SPANK_OBJ)

# What parses foreign lists, without what reads them.
LIST_OBJ := $(patsubst %,$(BUILD)/obj/daemon/scan/%.o,list list_mds braces paths sums)
$(BUILD)/fuzz/%: tests/fuzz/%.c $(CORE_OBJ) $(LIST_OBJ) $(BUILD)/liblarder.a
	$(call say,FUZZ)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fsanitize=fuzzer $^ -o $@ $(shell $(PKG_CONFIG) --libs jansson libcrypto) -lm

# Drivers of the benches: of the daemon's rooms they take what they call.
BENCH_BIN := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(call src,tests/bench))
$(BUILD)/bench/rooms.a: $(DAEMON_OBJ) $(SCHED_OBJ) $(REACH_OBJ) $(FLEET_OBJ) $(CORE_OBJ)
	$(call say,AR)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/bench/fleet_sim $(BUILD)/tests/test_fleet_sim: $(call obj,tests/bench/sim)

# Plays Slurm for the plugin, which finds Slurm's side in the program.
$(BUILD)/bench/hooks: $(BUILD)/obj/tests/unit/spank_host.o
$(BUILD)/bench/hooks: BENCH_LIBS := -rdynamic -lcmocka -ldl

$(BENCH_BIN): $(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/bench/rooms.a $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(shell $(PKG_CONFIG) --libs $(DAEMON_PKGS)) -lmunge -lpthread -lm $(BENCH_LIBS)

.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# --- tests. Each suite prints one line a test; tests/run adds them up.

JOBLET := $(BUILD)/tests/joblet
$(JOBLET): $(BUILD)/obj/tests/e2e/joblet.o $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^

ASKNODE := $(BUILD)/tests/asknode
$(ASKNODE): $(BUILD)/obj/tests/e2e/asknode.o $(FLEET_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs $(FLEET_PKGS)) -lmunge -lpthread

.PHONY: tests
tests: $(PROGRAMS) $(UNIT_BIN) $(JOBLET) $(ASKNODE) ## build everything that the tests need

.PHONY: deps
deps: ## install what build and tests need (Debian 12; root)
	$(Q)contrib/bootstrap

.PHONY: check
check: deps ## dependencies, build, all tests (root; about 15 minutes)
	$(Q)tests/run all

.PHONY: check-unit check-e2e check-slurm check-lint check-fault
check-unit check-e2e check-slurm check-lint check-fault: check-%: ## one suite (also check-e2e, -slurm, -lint, -fault), no dependencies installed
	$(Q)tests/run $*

.PHONY: asan ubsan tsan
asan: ## unit and e2e tests under clang's address and undefined-behaviour sanitizers
	$(Q)tests/run asan
ubsan: asan
tsan: ## the daemon's unit and e2e tests under thread sanitizer
	$(Q)tests/run tsan

FUZZ_SECONDS ?= 30
.PHONY: fuzz
fuzz: ## run each fuzzer for FUZZ_SECONDS (clang)
	$(Q)$(MAKE) --no-print-directory CC=clang BUILD=$(BUILD)-fuzz SAN=-fsanitize=address,fuzzer-no-link HARDEN= fuzzers
	$(Q)for f in $(patsubst $(BUILD)/%,$(BUILD)-fuzz/%,$(FUZZ_BIN)); do \
		echo "$$f"; $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=0 || exit 1; done
.PHONY: fuzzers
fuzzers: $(FUZZ_BIN)

.PHONY: coverage
coverage: ## unit tests with gcov, a table by file
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)-cov SAN=--coverage OPT='-O0 -g' HARDEN= tests
	$(Q)tests/coverage $(BUILD)-cov

.PHONY: analyze
analyze: ## cppcheck, clang-tidy, shellcheck
	$(Q)tests/lint/analyze

SOURCES := $(shell find daemon spank include tests -name '*.[ch]' 2>/dev/null)
.PHONY: format format-check
format: ## clang-format all C files
	$(Q)clang-format -i $(SOURCES)
format-check: ## fail where clang-format would change something
	$(Q)clang-format --dry-run --Werror $(SOURCES)

.PHONY: bench bench-tools bench-report demo
bench-tools: all $(BENCH_BIN)
bench: bench-tools ## benchmarks: BENCH=name[,name], BENCH_SCALE=tiny|small|full (root; 12 minutes)
	$(Q)BUILD=$(BUILD) BENCH=$(BENCH) tests/bench/run
bench-report: ## a page with plots of the last run of the benches
	$(Q)python3 tests/bench/report.py $(BUILD)/bench
demo: deps ## a private Slurm cluster, a dataset, the same job cold and warm (root)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)contrib/demo

# --- installing

INSTALL ?= install
# The files in etc/ name the places that PREFIX=/usr gives; what is installed names the real ones.
DEFAULT_PLUGINDIR := /usr/lib/$(shell $(CC) -print-multiarch 2>/dev/null)/slurm-wlm
PLACES := -e 's|^ExecStart=/usr/sbin/larder|ExecStart=$(SBINDIR)/larder|' \
	$(if $(filter-out /usr/libexec/larder,$(LIBEXECDIR)),-e 's|^.*helper_dir = .*|helper_dir = "$(LIBEXECDIR)"|') \
	$(if $(filter-out $(DEFAULT_PLUGINDIR),$(PLUGINDIR)),-e 's|^required spank_larder.so|required $(PLUGINDIR)/spank_larder.so|')
install_as = sed $(PLACES) $(1) >$(DESTDIR)$(2) && chmod 644 $(DESTDIR)$(2)

.PHONY: install uninstall
install: all ## install below DESTDIR
	$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(PLUGINDIR) \
		$(DESTDIR)$(SYSCONFDIR)/larder/catalog $(DESTDIR)$(SYSCONFDIR)/slurm/plugstack.conf.d $(DESTDIR)$(UNITDIR) \
		$(DESTDIR)$(PREFIX)/lib/tmpfiles.d $(DESTDIR)$(PREFIX)/lib/sysusers.d \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(DATADIR) \
		$(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8
	$(INSTALL) -m 755 $(BUILD)/larderd $(DESTDIR)$(SBINDIR)/larderd
	$(INSTALL) -m 755 $(BUILD)/larder-sched $(DESTDIR)$(SBINDIR)/larder-sched
	$(INSTALL) -m 755 $(BUILD)/larder $(DESTDIR)$(BINDIR)/larder
	$(INSTALL) -m 755 $(BUILD)/larder-whole $(DESTDIR)$(LIBEXECDIR)/larder-whole
	$(INSTALL) -m 755 $(BUILD)/larder-slurm-helper $(DESTDIR)$(LIBEXECDIR)/larder-slurm-helper
	$(INSTALL) -m 755 $(BUILD)/larder-prolog-slurmctld $(DESTDIR)$(LIBEXECDIR)/larder-prolog-slurmctld
	$(INSTALL) -m 755 $(BUILD)/larder-prolog-stage $(DESTDIR)$(LIBEXECDIR)/larder-prolog-stage
	$(INSTALL) -m 755 $(BUILD)/spank_larder.so $(DESTDIR)$(PLUGINDIR)/spank_larder.so
	test -e $(DESTDIR)$(SYSCONFDIR)/larder/larder.conf || \
		{ $(call install_as,etc/larder.conf,$(SYSCONFDIR)/larder/larder.conf); }
	test -e $(DESTDIR)$(SYSCONFDIR)/slurm/plugstack.conf.d/larder.conf || \
		{ $(call install_as,etc/plugstack.conf.d/larder.conf,$(SYSCONFDIR)/slurm/plugstack.conf.d/larder.conf); }
	test -e $(DESTDIR)$(SYSCONFDIR)/larder/larder-sched.conf || \
		{ $(call install_as,etc/larder-sched.conf,$(SYSCONFDIR)/larder/larder-sched.conf); }
	$(call install_as,etc/larderd.service,$(UNITDIR)/larderd.service)
	$(call install_as,etc/larder-sched.service,$(UNITDIR)/larder-sched.service)
	$(call install_as,etc/larder-publisher.service,$(UNITDIR)/larder-publisher.service)
	$(INSTALL) -m 644 etc/tmpfiles.d/larder.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/larder.conf
	$(INSTALL) -m 644 etc/sysusers.d/larder.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/larder.conf
	$(INSTALL) -m 644 etc/completions/larder $(DESTDIR)$(PREFIX)/share/bash-completion/completions/larder
	sed 's|/usr/share/larder/|$(DATADIR)/|' contrib/lua/job_submit.lua >$(DESTDIR)$(DATADIR)/job_submit.lua
	$(INSTALL) -m 644 contrib/lua/larder.lua $(DESTDIR)$(DATADIR)/larder.lua
	for page in $(MANPAGES); do $(INSTALL) -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/ || exit 1; done

uninstall: ## remove what install put there; configuration, catalog and caches stay
	rm -f $(DESTDIR)$(SBINDIR)/larderd $(DESTDIR)$(SBINDIR)/larder-sched $(DESTDIR)$(BINDIR)/larder $(DESTDIR)$(PLUGINDIR)/spank_larder.so \
		$(DESTDIR)$(LIBEXECDIR)/larder-slurm-helper $(DESTDIR)$(LIBEXECDIR)/larder-prolog-slurmctld $(DESTDIR)$(LIBEXECDIR)/larder-whole \
		$(DESTDIR)$(LIBEXECDIR)/larder-prolog-stage \
		$(DESTDIR)$(SYSCONFDIR)/slurm/plugstack.conf.d/larder.conf \
		$(DESTDIR)$(UNITDIR)/larderd.service $(DESTDIR)$(UNITDIR)/larder-sched.service \
		$(DESTDIR)$(UNITDIR)/larder-publisher.service $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/larder.conf \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/larder.conf \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/larder \
		$(DESTDIR)$(DATADIR)/job_submit.lua $(DESTDIR)$(DATADIR)/larder.lua \
		$(foreach page,$(MANPAGES),$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page)))

DIST := larder-$(patsubst %-dirty,%,$(VERSION))
.PHONY: dist deb
dist: ## a source archive of HEAD in dist/
	$(Q)mkdir -p dist && git archive --prefix=$(DIST)/ -o dist/$(DIST).tar.gz HEAD
	@echo dist/$(DIST).tar.gz
deb: all ## a Debian package in dist/
	$(Q)contrib/debian/build '$(VERSION)'

.PHONY: clean help
clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD)-* dist
help: ## this list
	@grep -hE '^[a-z][a-z0-9 %-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+)[a-z0-9 -]*:.*## /\1\t/' | expand -t 14
