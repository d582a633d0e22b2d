# Builds the power-cut test: make -f Makefile -f tests/fault/powercut.mk BUILD/tests/powercut
POWERCUT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,tests/fault/powercut.c tests/fault/cutdisk.c tests/unit/disk.c \
	$(filter-out daemon/store/inventory%,$(wildcard daemon/store/*.c)))

$(BUILD)/obj/tests/fault/cutdisk.o: PKG_CFLAGS += $(shell $(PKG_CONFIG) --cflags fuse3)

$(BUILD)/tests/powercut: $(POWERCUT_OBJ) $(CORE_OBJ) $(BUILD)/liblarder.a
	$(call say,LD)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -pie $(ALL_LDFLAGS) -Wl,--wrap=syncfs,--wrap=sync_file_range -o $@ $^ $(shell $(PKG_CONFIG) --libs fuse3 sqlite3 cmocka) -lpthread -lm
