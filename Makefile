# Larder. `make help` lists what there is. Quiet unless V=1; BUILD= another build directory.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION)
PREFIX ?= /usr
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/larder
PLUGINDIR ?= $(PREFIX)/lib/$(shell $(CC) -print-multiarch 2>/dev/null)/slurm-wlm
MANDIR ?= $(PREFIX)/share/man
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
CPPFLAGS += -D_GNU_SOURCE -Iinclude -Idaemon -DLARDER_VERSION='"$(VERSION)"'
ALL_CFLAGS = -std=gnu17 $(OPT) $(HARDEN) $(WARN) -fPIC $(SAN) $(CFLAGS)
ALL_LDFLAGS = -Wl,-z,relro,-z,now $(SAN) $(LDFLAGS)

DAEMON_PKGS := liburing sqlite3 libconfuse libsystemd
CLI_PKGS := smartcols jansson
ALL_PKGS := $(DAEMON_PKGS) $(CLI_PKGS)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(ALL_PKGS) 2>/dev/null)

src = $(wildcard $(1)/*.c)
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(call src,$(1)))
LIB_OBJ := $(call obj,daemon/lib)
CORE_OBJ := $(call obj,daemon/core)
REACH_OBJ := $(call obj,daemon/origin) $(call obj,daemon/scan)
DAEMON_OBJ := $(call obj,daemon/store) $(call obj,daemon/xfer) $(call obj,daemon/server)
SPANK_OBJ := $(call obj,spank)
CTL_OBJ := $(call obj,daemon/ctl)
UNIT_SRC := $(call src,tests/unit)
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(filter tests/unit/test_%.c,$(UNIT_SRC)))
UNIT_HELP := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out tests/unit/test_%.c,$(UNIT_SRC)))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(call src,tests/fuzz))
PROGRAMS := $(BUILD)/spank_larder.so $(BUILD)/larderd $(BUILD)/larder $(BUILD)/larder-slurm-helper
MANPAGES := $(wildcard daemon/*.[158] spank/*.8 etc/*.5 daemon/*/*.[158])

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s%s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$@)')

.PHONY: all
all: $(PROGRAMS) ## build plugin, daemon, CLI and helper

$(BUILD)/obj/%.o: %.c
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(SLURM_CFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/liblarder.a: $(LIB_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/spank_larder.so: $(SPANK_OBJ) $(BUILD)/liblarder.a spank/spank_larder.map
	$(call say,LD)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -Wl,--version-script=spank/spank_larder.map -o $@ $(SPANK_OBJ) $(BUILD)/liblarder.a

$(BUILD)/larderd: $(BUILD)/obj/daemon/main.o $(DAEMON_OBJ) $(REACH_OBJ) $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs $(DAEMON_PKGS)) -lpthread -lm

$(BUILD)/larder: $(CTL_OBJ) $(REACH_OBJ) $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs $(CLI_PKGS)) -lpthread -lm

$(BUILD)/larder-slurm-helper: $(call obj,daemon/helper) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $^ $(SLURM_LIBS)

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_HELP) $(DAEMON_OBJ) $(REACH_OBJ) $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(shell $(PKG_CONFIG) --libs $(DAEMON_PKGS) cmocka) -lpthread -lm

# Tests of the plugin bring their own Slurm (spank_host.c).
$(filter $(BUILD)/tests/test_spank_%,$(UNIT_BIN)): $(SPANK_OBJ)

$(BUILD)/fuzz/%: tests/fuzz/%.c $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,FUZZ)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fsanitize=fuzzer $^ -o $@ -lm

.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
