# yoi: `make help` lists the targets. Everything is built below build/.
#
# Settings (on the command line):
#   CC=clang                       the other compiler
#   SANITIZE=address,undefined     a build variant, below build/asan
#   SANITIZE=thread                another one, below build/tsan
#   HARD=1                         the hard test mode (abi/sdk/hard.h), below
#                                  build/hard; with SANITIZE, build/hard-asan
#   V=1                            show the commands

CC      = gcc
CXX     = $(subst gcc,g++,$(subst clang,clang++,$(CC)))
AR      = ar
PYTHON  = /usr/bin/python3
PREFIX  = /usr/local
LIBDIR  = $(PREFIX)/lib
# Where `make install` puts the rest; DESTDIR is put in front of each.
BINDIR  = $(PREFIX)/bin
INCDIR  = $(PREFIX)/include/yoi-1
DATADIR = $(PREFIX)/share
MANDIR  = $(DATADIR)/man
UNITDIR = $(PREFIX)/lib/systemd/system

# ---- Debian packages: the one list ---------------------------------------
PKGS_CORE = gcc libc6-dev make pkg-config binutils libcjson-dev libssl-dev
PKGS_RUN  = $(PKGS_CORE) libcurl4-openssl-dev libxml2-dev node-llhttp curl tzdata
PKGS_DEB  = $(PKGS_RUN) dpkg-dev
PKGS_DEB_CHECK = $(PKGS_DEB) debootstrap lintian
PKGS_BENCH = $(PKGS_RUN) python3 util-linux nginx-light nodejs libsqlite3-dev liblmdb-dev
PKGS_TEST = $(PKGS_DEB) g++ clang libclang-rt-14-dev libcmocka-dev python3 \
            python3-pytest python3-pytest-xdist python3-pytest-timeout python3-hypothesis \
            python3-jsonschema dwarves abigail-tools git bubblewrap openssl strace python3-yaml nodejs
# promtool comes from Debian's prometheus, which is unpacked and not installed:
# installing would start a service (tests/promtool.sh). So are the official tests
# of JSON Schema, from libtest-json-schema-acceptance-perl (tests/vectors.sh).

# ---- npm packages, for the tests of docs/openapi.yaml: the one list ------
# Exact versions; below build/npm, nowhere else. openapi-core is what
# openapi-typescript reads documents with.
NPM_TEST = ajv@8.20.0 ajv-formats@3.0.1 yaml@2.9.1 \
           @seriousme/openapi-schema-validator@2.11.0 \
           openapi-typescript@7.13.0 @redocly/openapi-core@1.34.24 \
           openapi-fetch@0.17.0 typescript@5.9.3

# ---- variants ------------------------------------------------------------
VARIANT := $(if $(findstring clang,$(CC)),clang-)$(if $(HARD),hard-)$(if $(findstring thread,$(SANITIZE)),tsan,$(if \
             $(findstring address,$(SANITIZE)),asan,$(if $(findstring fuzzer,$(SANITIZE)),fuzz)))
VARIANT := $(patsubst %-,%,$(VARIANT))
B       := build$(if $(VARIANT),/$(VARIANT))
# What knows where it will be installed; elsewhere for a package (`make deb`), so
# that one build serves two places.
P        = $(B)
Q       := $(if $(V),,@)

# ---- flags ---------------------------------------------------------------
# Each warning beyond -Wall -Wextra with its reason.
WARN = -Wall -Wextra -Wpedantic -Werror \
       -Wconversion \
       -Wshadow \
       -Wstrict-prototypes -Wmissing-prototypes \
       -Wvla -Walloca \
       -Wundef \
       -Wformat=2 \
       -Wwrite-strings \
       -Wpointer-arith
#  conversion: a size that is cut silently is a hole
#  shadow: two things of one name are read as one
#  prototypes: what is not static stands in a header
#  vla, alloca: stack use has a maximum
#  undef: a misspelt feature test is an error
#  format: format strings are literals
#  write-strings, pointer-arith: literals are const, void has no size
# The builds that are only tested compile faster, and say their lines all the
# same. With less optimization gcc guesses wrong in two of its warnings.
GUESSES  = $(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized -Wno-format-truncation)
OPT      = $(if $(SANITIZE)$(HARD),-O1 -g1 $(GUESSES),-O2 -g)
CPPFLAGS = -Iabi -D_GNU_SOURCE -D_FORTIFY_SOURCE=2
CFLAGS   = -std=c11 $(OPT) $(WARN) -fPIC -fvisibility=hidden -fno-common \
           -fstack-protector-strong -ffunction-sections -fdata-sections \
           -include sdk/banned.h
LDFLAGS  = -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,--as-needed
# What a start reads whole: a plugin is hashed before it is mapped.
SLIM     = -Wl,--compress-debug-sections=zlib
DEFS     = -Wl,-z,defs
ifdef SANITIZE
  CPPFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CPPFLAGS))
  CFLAGS  += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
  # The leak checker takes some thread-local blocks of loaded objects for ones
  # with an old glibc's header and crashes while it scans what that points to.
  CFLAGS  += -ftls-model=initial-exec
  LDFLAGS += -fsanitize=$(SANITIZE)
  ifneq ($(findstring clang,$(CC)),)
    DEFS =                 # clang's runtime lives in the executable
  endif
endif
ifneq ($(HARD),)
  # Smaller limits wherever they are read; one fault plan for all plugins.
  CPPFLAGS += -DYOI_HARD
  CFLAGS   += -include sdk/hard.h
  HOST_LDFLAGS = -Wl,--export-dynamic-symbol=yoi_sdk_hard_plan
endif
LIBS_CORE = -lcjson -lcrypto -lpthread -ldl

# ---- what is built -------------------------------------------------------
SDK_CORE   := $(B)/lib/libyoi-sdk-core.a
SDK_SCHEMA := $(B)/lib/libyoi-sdk-schema.a
SDK_BUNDLE := $(B)/lib/libyoi-sdk-bundle.a
SDK_RULES  := $(B)/lib/libyoi-sdk-rules.a
SDK_HTTP   := $(B)/lib/libyoi-sdk-http.a
SDK_CONFINE := $(B)/lib/libyoi-sdk-confine.a
ENGINE     := $(B)/lib/libyoi-engine.a
LIBYOI_A   := $(P)/libyoi.a
LIBYOI_SO  := $(P)/libyoi.so
# No sources, no program: what is already there can be built and tested.
YOI_HOST   := $(if $(wildcard host/cli/*.c),$(P)/yoi-host)
YOI_WORKER := $(P)/yoi-worker

comma = ,
PLACED = $(P)/obj/host/place.o
objs = $(patsubst $(B)/obj/host/place.o,$(PLACED),$(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)/*.c)))

RUNTIMES     := $(filter-out engine,$(notdir $(patsubst %/,%,$(dir $(wildcard runtimes/*/*.yoi.json)))))
PLUGINS      := $(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/*.yoi.json))))
TEST_PLUGINS := $(notdir $(patsubst %/,%,$(dir $(wildcard tests/plugins/*/*.yoi.json))))
# What needs more than the core: NAME_ARCHIVES of ours, NAME_LIBS of others.
embedded_ARCHIVES     = $(ENGINE) $(SDK_BUNDLE) $(SDK_RULES)
fs-store_ARCHIVES     = $(ENGINE) $(SDK_BUNDLE) $(SDK_RULES)
policy-rules_ARCHIVES = $(SDK_RULES)
http-remote_ARCHIVES  = $(SDK_HTTP)
http-remote_LIBS      = -lcurl
model-openai_ARCHIVES = $(SDK_HTTP)
model-openai_LIBS     = -lcurl
tool-http_ARCHIVES    = $(SDK_HTTP)
tool-http_CPPFLAGS    = -isystem /usr/include/libxml2
tool-http_LIBS        = -lcurl -lxml2
HTTP_PLUGINS          = model-openai ingress-http tool-http
LLHTTP_SRC            = /usr/share/llhttp
ingress-http_CPPFLAGS = -isystem /usr/share/include/llhttp
ingress-http_LIBS     = -lssl
tool-shell_CPPFLAGS   = -DRUNNER='"$(RUNNER)"'
ingress-http_OBJS     = $(patsubst %,$(B)/obj/llhttp/%.o,api http llhttp)

# A test plugin that exports another major version's entry.
badentry_MAP          = tests/plugins/badentry/badentry.map

CORE_RUNTIMES = $(filter embedded fs-store,$(RUNTIMES))
CORE_PLUGINS  = $(filter-out $(HTTP_PLUGINS),$(PLUGINS))
so_runtimes     := $(RUNTIMES:%=$(B)/runtimes/%.so)
so_plugins      := $(PLUGINS:%=$(B)/plugins/%.so)
# `hands` has the id of a plugin that is there: only who asks for it finds it.
test_so          = $(B)/tests/$(if $(filter hands,$(1)),hands,plugins)/$(1).so
so_test_plugins := $(foreach n,$(TEST_PLUGINS),$(call test_so,$(n)))

UNIT_CORE := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
UNIT_HTTP := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*/test_*.c))
UNIT_SUPPORT := $(call objs,tests/unit/support)
# What the store of files is measured beside, where its library is there.
bench_sqlite_LIBS = -lsqlite3
bench_lmdb_LIBS   = -llmdb
bench_remote_LIBS = -lcurl
BENCH_ABSENT := $(foreach n,sqlite3 lmdb,$(if $(shell pkg-config --exists $(n) 2>/dev/null && echo yes),,$(n:3=)))
BENCH     := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(filter-out \
               $(BENCH_ABSENT:%=tests/bench/bench_%.c),$(wildcard tests/bench/bench_*.c)))
EXAMPLES  := $(patsubst docs/examples/%.c,$(B)/examples/%,$(wildcard docs/examples/*.c))
# Tests only, since nothing else here needs a compiler of C++.
EXAMPLES_CXX := $(patsubst docs/examples/%.cc,$(B)/examples/%,$(wildcard docs/examples/*.cc))
MOCKS     := $(patsubst tests/mock/%.c,$(B)/tests/mock/%,$(wildcard tests/mock/*.c))
SHIM      := $(B)/tests/fault/shim.so
VALIDATE  := $(B)/tests/schema/validate
READ      := $(B)/tests/bundles/read
CONFORM   := $(if $(wildcard tests/conform/*.c),$(P)/yoi-conform)

.PHONY: install uninstall deb deb-check help all static broken core bundles run test unit e2e lint abi-check bench fuzz soak clean \
        packages-run packages-test packages-bench packages-deb packages-deb-check test-binaries core-binaries
.DEFAULT_GOAL := all
.SECONDARY:

help:
	@echo 'make run        install what is missing, build, start the host'
	@echo 'make test       install what is missing, build, run all tests'
	@echo 'make all        build the host, libyoi, every plugin and the examples'
	@echo 'make static     build yoi-host-static, one program with all plugins in it, and'
	@echo '                yoi-conform-static, which tests them there'
	@echo 'make core       build and test without any HTTP library'
	@echo 'make unit | e2e the unit tests | the black-box tests'
	@echo 'make bundles    build bundles/builtin.json anew from bundles/builtin/'
	@echo 'make lint       house rules: names, tags, includes, lengths, docs'
	@echo 'make abi-check  headers alone, layouts, exported symbols'
	@echo 'make bench      measure; WRITE=1 puts the table into docs/benchmarks.md'
	@echo 'make fuzz       fuzz targets, FUZZ_SECONDS=20 each'
	@echo 'make soak       the long tests, beside mixed loads of SOAK_SECONDS=1800'
	@echo 'make broken     plugins that each break one promise, for the tests of yoi-conform'
	@echo 'make install    put it all below PREFIX=/usr/local; make uninstall takes it away'
	@echo 'make deb        build/deb/yoi_*.deb and yoi-dev_*.deb'
	@echo 'make deb-check  the same, and tries them in a Debian of their own'
	@echo 'make clean      remove build/'
	@echo 'variants: CC=clang, SANITIZE=address,undefined, SANITIZE=thread, HARD=1'

PRODUCTS = $(YOI_HOST) $(YOI_WORKER) $(CONFORM) $(LIBYOI_A) $(LIBYOI_SO) $(so_runtimes) $(so_plugins) \
           $(P)/bundles/default.json
all: $(PRODUCTS) $(EXAMPLES)
	@:

# ---- compiling -----------------------------------------------------------
$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@$(if $(V),,echo '  cc      $<')
	$(Q)$(CC) $(CPPFLAGS) $(EXTRA_CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/obj/llhttp/%.o: $(LLHTTP_SRC)/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(OPT) -w -fPIC -fvisibility=hidden -isystem /usr/share/include/llhttp -c $< -o $@

define archive
	@mkdir -p $(@D)
	@rm -f $@
	@$(if $(V),,echo '  ar      $@')
	$(Q)$(AR) rcs $@ $(filter %.o,$^)
endef
$(SDK_CORE): $(call objs,abi/sdk/core)
	$(archive)
$(SDK_SCHEMA): $(call objs,abi/sdk/schema)
	$(archive)
$(SDK_RULES): $(call objs,abi/sdk/rules)
	$(archive)
$(SDK_BUNDLE): $(call objs,abi/sdk/bundle)
	$(archive)
$(SDK_HTTP): $(call objs,abi/sdk/http)
	$(archive)
$(SDK_CONFINE): $(call objs,abi/sdk/confine)
	$(archive)
$(ENGINE): $(call objs,runtimes/engine)
	$(archive)
# One archive holds all that an application needs beside the system's. (The line
# is read by tests/fuzz/fuzz.py too, whose targets link the same.)
LIBYOI_DIRS = host host/isolate abi/sdk/core abi/sdk/schema abi/sdk/bundle abi/sdk/rules
$(LIBYOI_A): $(foreach d,$(LIBYOI_DIRS),$(call objs,$(d)))
	$(archive)
$(LIBYOI_SO): $(call objs,host) $(call objs,host/isolate) $(SDK_BUNDLE) $(SDK_RULES) $(SDK_SCHEMA) $(SDK_CORE) host/libyoi.map
	@$(if $(V),,echo '  ld      $@')
	$(Q)$(CC) -shared $(LDFLAGS) $(SLIM) $(DEFS) -Wl,-soname,libyoi.so.1 -Wl,--version-script=host/libyoi.map \
	  -o $@ $(filter %.o %.a,$^) $(LIBS_CORE)
	$(Q)ln -sf $(@F) $@.1
$(P)/yoi-host: $(call objs,host/cli) $(LIBYOI_A)
	@$(if $(V),,echo '  ld      $@')
	$(Q)$(CC) $(LDFLAGS) $(SLIM) $(HOST_LDFLAGS) -o $@ $^ $(LIBS_CORE)

# What isolated plugins run in; it stands beside yoi-host.
$(P)/yoi-worker: $(call objs,host/worker) $(LIBYOI_A) $(SDK_CONFINE)
	@$(if $(V),,echo '  ld      $@')
	$(Q)$(CC) $(LDFLAGS) $(SLIM) $(HOST_LDFLAGS) -o $@ $^ $(LIBS_CORE)

# The kit for plugins of others. Its malloc is seen by them: heap.c.
$(B)/obj/tests/conform/%.o: EXTRA_CPPFLAGS = -I.
$(B)/obj/tests/conform/tests.o: $(wildcard abi/yoi/*.h)
$(P)/yoi-conform: $(call objs,tests/conform) $(LIBYOI_A)
	@$(if $(V),,echo '  ld      $@')
	$(Q)$(CC) $(LDFLAGS) $(SLIM) $(HOST_LDFLAGS) \
	  $(patsubst %,-Wl$(comma)--export-dynamic-symbol=%,$(if $(SANITIZE),,malloc calloc realloc)) \
	  -o $@ $^ $(LIBS_CORE)

# $(call plugin,SOURCE-DIRECTORY,NAME,OUTPUT)
define plugin
$(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)/*.c)): EXTRA_CPPFLAGS = \
  -DMANIFEST='"$(1)/$(2).yoi.json"' $$($(2)_CPPFLAGS)
$(B)/obj/$(1)/plugin.o: $(wildcard $(1)/*.json)
$(3): $(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)/*.c)) $$($(2)_OBJS) $$($(2)_ARCHIVES) \
  $(SDK_SCHEMA) $(SDK_CORE) $$(or $$($(2)_MAP),abi/plugin.map)
	@mkdir -p $$(@D)
	@$(if $(V),,echo '  ld      $$@')
	$(Q)$(CC) -shared $(LDFLAGS) $(SLIM) $(DEFS) -Wl,--version-script=$$(or $$($(2)_MAP),abi/plugin.map) -o $$@ \
	  $$(filter %.o %.a,$$^) $$($(2)_LIBS) $(LIBS_CORE)
endef
$(foreach n,$(RUNTIMES),$(eval $(call plugin,runtimes/$(n),$(n),$(B)/runtimes/$(n).so)))
$(foreach n,$(PLUGINS),$(eval $(call plugin,plugins/$(n),$(n),$(B)/plugins/$(n).so)))
$(foreach n,$(TEST_PLUGINS),$(eval $(call plugin,tests/plugins/$(n),$(n),$(call test_so,$(n)))))

# Plugins that break one promise each: tests/conform/broken/KIND.c is compiled once
# per test that has to notice, and once without any break. A test that looks at
# several things has TEST+HOW too, and what is odd but keeps all promises is none+HOW.
# Those that are broken as an object have flags of their own.
BROKEN_model = none none+waits none+serial none+named lib.manifest lib.symbols lib.loads \
  lib.entry-twice lib.scan-time lib.agrees \
  lib.unknown-interface env.working-directory env.umask env.signals env.locale env.environment \
  env.descriptors env.threads inst.open inst.bad-config inst.allocator-open inst.null-error \
  inst.null-error+start inst.null-error+next inst.small-error inst.small-error+start \
  inst.allocator-start inst.thousand inst.two mem.config-view mem.config-borrowed \
  mem.request-view mem.request-borrowed mem.request-larger mem.request-unknown mem.batch-own \
  mem.host-truncated stream.ops-shape stream.batch stream.event-shape stream.untouched \
  stream.end-is-sticky stream.again-wakes stream.cancel-ends stream.cancel-wakes stream.cancel-twice \
  stream.cancel-races stream.release-any-state stream.release-null stream.never-blocks \
  stream.bounded model.finish model.usage model.tool-call model.text model.kinds \
  model.many-messages model.error model.error+code
BROKEN_tool = none tool.output tool.output-limit tool.error tool.repeated tool.unknown-name
BROKEN_policy = none policy.decision policy.decision+twice policy.decision+error \
  policy.ready policy.same-answer policy.operations \
  policy.hostile policy.threads
BROKEN_ingress = none ingress.accepts ingress.stop-accepting ingress.drain \
  ingress.drain+open ingress.descriptors \
  ingress.listener-larger ingress.listener-unknown
BROKEN_runtime = none none+once runtime.describe runtime.unary runtime.list runtime.unknown-op \
  runtime.unknown-flags runtime.error-text worker.create worker.create-replay \
  worker.create-conflict worker.unknown worker.stop worker.delete worker.follow \
  worker.input-replay worker.busy worker.cancel worker.watch-is-no-hold worker.transcript \
  worker.transcript+none worker.resume+none worker.drain+error \
  worker.resume worker.cursors worker.watch-deleted worker.drain worker.wake-inside \
  worker.tool-call approval.listed approval.allow approval.deny approval.conflict \
  approval.unknown bundle.put bundle.digest bundle.get bundle.list bundle.delete none+few
broken_runtime_ARCHIVES = $(B)/lib/libbroken-embedded.a $(ENGINE) $(SDK_BUNDLE) $(SDK_RULES)
broken_flags_lib.symbols = -DBREAK_WITH_EXPORT
broken_flags_lib.loads   = -DBREAK_WITH_UNDEFINED
broken_dir = tests/conform/broken
# $(call broken,KIND,TEST)
define broken
$(B)/tests/broken/$(1)/$(2).so: $(broken_dir)/$(1).c $(broken_dir)/common.h $(wildcard $(broken_dir)/*.json) \
  $(wildcard $(broken_dir)/*.map) $$(broken_$(1)_ARCHIVES) $(SDK_SCHEMA) $(SDK_CORE) Makefile
	@mkdir -p $$(@D)
	@$(if $(V),,echo '  broken  $(1): $(2)')
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -O0 -U_FORTIFY_SOURCE -Wno-unused -DBREAK=$(subst +,_,$(subst -,_,$(subst .,_,$(2)))) $$(broken_flags_$(2)) \
	  -DMANIFEST='"$(or $(wildcard $(broken_dir)/$(2).yoi.json),$(broken_dir)/$(1).yoi.json)"' \
	  -shared -s $(LDFLAGS) -Wl,--version-script=$(or \
    $(wildcard $(broken_dir)/$(2).map),$(broken_dir)/broken.map) -o $$@ $$< $$(filter %.a,$$^) $(LIBS_CORE)
endef
BROKEN_KINDS = $(patsubst BROKEN_%,%,$(filter-out BROKEN_KINDS,$(filter BROKEN_%,$(.VARIABLES))))
$(foreach k,$(BROKEN_KINDS),$(foreach t,$(BROKEN_$(k)),$(eval $(call broken,$(k),$(t)))))
so_broken := $(foreach k,$(BROKEN_KINDS),$(BROKEN_$(k):%=$(B)/tests/broken/$(k)/%.so))
broken: $(so_broken)
$(B)/lib/libbroken-embedded.a: $(B)/obj/static/embedded.o
	$(archive)

# Plugins of each earlier minor, compiled against the headers as they were then:
# whatever is in tests/abi/headers. Policies came with 1.3.
FROZEN_MINORS = $(sort $(notdir $(wildcard tests/abi/headers/1.*)))
FROZEN = $(foreach m,$(FROZEN_MINORS),$(foreach k,runtime model $(if \
           $(wildcard tests/abi/headers/$(m)/yoi/policy.h),policy),$(m)-$(k)))
so_frozen := $(FROZEN:%=$(B)/tests/frozen/%.so)
$(B)/tests/frozen/%.so: tests/abi/frozen/plugin.c $(wildcard tests/abi/frozen/*.json) \
  $(wildcard tests/abi/headers/*/yoi/*.h) abi/plugin.map Makefile
	@mkdir -p $(@D)
	@$(if $(V),,echo '  frozen  $*')
	$(Q)$(CC) -Itests/abi/headers/$(firstword $(subst -, ,$*)) $(filter-out -Iabi,$(CPPFLAGS)) \
	  $(filter-out -include sdk/%,$(CFLAGS)) -DIS_$(lastword $(subst -, ,$*)) \
	  -DMANIFEST='"tests/abi/frozen/$(lastword $(subst -, ,$*)).json"' \
	  -shared $(LDFLAGS) $(DEFS) -Wl,--version-script=abi/plugin.map -o $@ $<

# The program that tool-shell starts commands with is embedded in it. It is the
# plain build in every variant: it limits memory, which sanitizers need more of.
RUNNER = $(B)/lib/tool-shell-run
$(RUNNER): $(wildcard plugins/tool-shell/runner/*.[ch]) abi/sdk/confine.h \
  $(wildcard abi/sdk/confine/*.c) Makefile
	@mkdir -p $(@D)
	@$(if $(V),,echo '  ld      $@')
	$(Q)$(CC) -std=c11 -O2 -s $(WARN) -Iabi -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -include sdk/banned.h \
	  -fPIE -pie -fstack-protector-strong -Wl,-z,relro,-z,now -o $@ $(filter %.c,$^)
$(B)/obj/plugins/tool-shell/spawn.o: $(RUNNER)

# Where plugins and yoi-worker are installed. It is compiled anew when that is
# another place than the last time.
$(PLACED): host/place.c $(P)/libdir Makefile
	@mkdir -p $(@D)
	@$(if $(V),,echo '  cc      $<')
	$(Q)$(CC) $(CPPFLAGS) -DYOI_LIBDIR='"$(LIBDIR)/yoi"' $(CFLAGS) -MMD -MP -c $< -o $@
$(P)/libdir: always
	@mkdir -p $(@D)
	@echo '$(LIBDIR)' | cmp -s - $@ || echo '$(LIBDIR)' >$@
# Without this .SECONDARY lets it be absent, and nothing is made anew.
.PHONY: always

# The one file that includes cJSON.h: before banned.h poisons names in it.
$(B)/obj/abi/sdk/core/json_tree.o: EXTRA_CPPFLAGS = -include cjson/cJSON.h

# Files that are embedded in an object (sdk/embed.h) are its prerequisites.
$(B)/obj/abi/sdk/rules/bundle.o: abi/sdk/rules/rules.schema.json
$(call objs,host): $(wildcard host/*.json)
$(B)/obj/plugins/ingress-http/pages.o: $(wildcard plugins/ingress-http/*.html)
$(B)/obj/host/cli/config_schema.o: docs/config.schema.json
$(B)/obj/host/cli/plugin_new.o: $(wildcard host/cli/new/*.in)
$(B)/obj/host/create.o: bundles/builtin.json
$(call objs,runtimes/engine): bundles/builtin.json

# ---- bundles -------------------------------------------------------------
$(P)/bundles/default.json: $(YOI_HOST) $(wildcard bundles/default/*.json bundles/default/prompts/*)
	@mkdir -p $(@D)
	$(Q)$(YOI_HOST) bundle build bundles/default -o $@
# Checked in, because it is compiled in; a test says when it is not up to date.
bundles: $(YOI_HOST)
	$(Q)$(YOI_HOST) bundle build bundles/builtin -o bundles/builtin.json

# ---- the static build ----------------------------------------------------
# One program with the plugins in it: their plugin.c again, with an entry and a
# manifest of a name of its own, and beside it what their shared objects are
# made of. STATIC names them.
STATIC        = $(RUNTIMES) $(PLUGINS)
static_runtimes = $(filter $(RUNTIMES),$(STATIC))
static_plugins  = $(filter $(PLUGINS),$(STATIC))
static_dirs   = $(static_runtimes:%=runtimes/%) $(static_plugins:%=plugins/%)
static_objs   = $(STATIC:%=$(B)/obj/static/%.o) $(foreach n,$(STATIC),$($(n)_OBJS)) \
                $(filter-out %/plugin.o,$(foreach d,$(static_dirs),$(call objs,$(d))))
# $(call static,SOURCE-DIRECTORY,NAME)
define static
$(B)/obj/static/$(2).o: $(1)/plugin.c $(wildcard $(1)/*.json) Makefile
	@mkdir -p $$(@D)
	@$(if $(V),,echo '  cc      $$< (static)')
	$(Q)$(CC) $(CPPFLAGS) -DYOI_STATIC=$(subst -,_,$(2)) -DMANIFEST='"$(1)/$(2).yoi.json"' \
	  $$($(2)_CPPFLAGS) $(CFLAGS) -MMD -MP -c $$< -o $$@
endef
$(foreach n,$(RUNTIMES),$(eval $(call static,runtimes/$(n),$(n))))
$(foreach n,$(PLUGINS),$(eval $(call static,plugins/$(n),$(n))))
$(B)/obj/static-linked.o: host/cli/linked.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -D'CLI_LINKED(X)=$(foreach n,$(STATIC),X($(subst -,_,$(n))))' \
	  $(CFLAGS) -MMD -MP -c $< -o $@
$(B)/yoi-host-static: $(filter-out %/linked.o,$(call objs,host/cli)) $(B)/obj/static-linked.o \
  $(static_objs) $(sort $(foreach n,$(STATIC),$($(n)_ARCHIVES))) $(LIBYOI_A)
	@$(if $(V),,echo '  ld      $@')
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(sort $(foreach n,$(STATIC),$($(n)_LIBS))) $(LIBS_CORE)
$(B)/obj/conform-linked.o: tests/conform/linked.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -I. -D'CONFORM_LINKED(X)=$(foreach n,$(STATIC),X($(subst -,_,$(n))))' \
	  $(CFLAGS) -MMD -MP -c $< -o $@
$(B)/yoi-conform-static: $(filter-out %/linked.o,$(call objs,tests/conform)) $(B)/obj/conform-linked.o \
  $(static_objs) $(sort $(foreach n,$(STATIC),$($(n)_ARCHIVES))) $(LIBYOI_A)
	@$(if $(V),,echo '  ld      $@')
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(sort $(foreach n,$(STATIC),$($(n)_LIBS))) $(LIBS_CORE)
static: $(B)/yoi-host-static $(B)/yoi-conform-static

# ---- tests ---------------------------------------------------------------
# tests/unit/test_X.c sees the core; tests/unit/NAME/test_X.c also the objects
# of the plugin NAME (or of sdk/NAME for `sdk-NAME`, or those of host/cli that
# need only cli_say for `cli`; `cli-bundle` plays a host; what shuts a plugin in
# for `worker`) and what lies beside it.
cli_OBJS      = $(patsubst %,$(B)/obj/host/cli/%.o,safe file text_diff bundle_source)
cli-bundle_OBJS = $(B)/obj/host/cli/bundle_sync.o
cli-bundle_LIBS = -Wl,--allow-multiple-definition # the one that is played counts
worker_OBJS   = $(patsubst %,$(B)/obj/host/worker/%.o,confine process landlock filter) $(SDK_CONFINE)
unit_dir      = $(notdir $(patsubst %/,%,$(dir $(1))))
unit_objs     = $(call objs,plugins/$(call unit_dir,$(1))) $(call objs,runtimes/$(call unit_dir,$(1))) \
                $($(call unit_dir,$(1))_OBJS) \
                $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(wildcard $(dir $(1))test_*.c),$(wildcard $(dir $(1))*.c)))
$(B)/obj/tests/unit/%.o: EXTRA_CPPFLAGS = -I. -isystem /usr/share/include/llhttp
$(B)/tests/unit/test_%: $(B)/obj/tests/unit/test_%.o $(UNIT_SUPPORT) $(ENGINE) $(SDK_RULES) $(LIBYOI_A)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_CORE)
define unit_http
$(B)/tests/unit/$(1): $(B)/obj/tests/unit/$(1).o $(UNIT_SUPPORT) $(call unit_objs,tests/unit/$(1)) \
  $(SDK_HTTP) $(ENGINE) $(SDK_RULES) $(LIBYOI_A)
	@mkdir -p $$(@D)
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ -lcmocka $($(call unit_dir,tests/unit/$(1))_LIBS) $(if $(wildcard abi/sdk/http/*.c),-lcurl) $(LIBS_CORE)
endef
$(foreach t,$(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*/test_*.c)),$(eval $(call unit_http,$(t))))
$(B)/obj/tests/bench/%.o: EXTRA_CPPFLAGS = -I.
$(B)/tests/bench/bench_store: $(filter-out %/plugin.o,$(call objs,runtimes/fs-store)) $(ENGINE) $(SDK_RULES)
$(patsubst %,$(B)/tests/bench/bench_%,store sqlite lmdb): $(B)/obj/tests/bench/appends.o \
  $(patsubst %,$(B)/obj/runtimes/fs-store/%.o,line crc32c)
$(B)/tests/bench/%: $(B)/obj/tests/bench/%.o $(B)/obj/tests/bench/load.o $(LIBYOI_A)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter $(ENGINE) $(SDK_RULES),$^) $(LIBYOI_A) $($(@F)_LIBS) $(LIBS_CORE)
$(B)/tests/mock/%: $(B)/obj/tests/mock/%.o $(SDK_CORE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_CORE)
$(VALIDATE): $(B)/obj/tests/schema/validate.o $(SDK_SCHEMA) $(SDK_CORE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_CORE)
$(READ): $(B)/obj/tests/bundles/read.o $(SDK_BUNDLE) $(SDK_RULES) $(SDK_SCHEMA) $(SDK_CORE)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_CORE)
# Preloaded, also before a sanitizer's runtime, so never sanitized itself; it
# defines what the checks of FORTIFY_SOURCE would make of its own calls.
$(SHIM): tests/fault/shim.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -std=c11 $(OPT) $(WARN) -D_GNU_SOURCE -fPIC -fvisibility=hidden -o $@ $< -ldl
$(B)/examples/%: docs/examples/%.c $(LIBYOI_A)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARN) $(OPT) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -Iabi -o $@ $< \
	  $(LIBYOI_A) $(LIBS_CORE)
$(B)/examples/%: docs/examples/%.cc $(LIBYOI_A)
	@mkdir -p $(@D)
	$(Q)$(CXX) -std=c++11 $(filter-out %-prototypes,$(WARN)) $(OPT) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) \
	  -Iabi -o $@ $< $(LIBYOI_A) $(LIBS_CORE)

test-binaries: all static $(EXAMPLES_CXX) $(so_test_plugins) $(so_broken) $(so_frozen) $(UNIT_CORE) $(UNIT_HTTP) $(MOCKS) $(BENCH) $(SHIM) \
  $(VALIDATE) $(READ)

core-binaries: $(YOI_HOST) $(YOI_WORKER) $(LIBYOI_SO) $(CORE_RUNTIMES:%=$(B)/runtimes/%.so) \
               $(CORE_PLUGINS:%=$(B)/plugins/%.so) $(so_test_plugins) $(UNIT_CORE)
core: core-binaries
	$(Q)$(PYTHON) tests/run.py --build $(B) unit-core

unit: test-binaries
	$(Q)$(PYTHON) tests/run.py --build $(B) unit
e2e: test-binaries
	$(Q)$(PYTHON) tests/run.py --build $(B) e2e
lint:
	$(Q)$(PYTHON) tests/lint.py
abi-check: test-binaries
	$(Q)$(PYTHON) tests/abi/check.py --build $(B)
test: packages-test
	$(Q)$(MAKE) --no-print-directory test-binaries
	$(Q)$(PYTHON) tests/run.py --build $(B) all

bench: packages-bench
	$(Q)$(MAKE) --no-print-directory all $(BENCH) $(MOCKS) $(so_test_plugins)
	$(Q)$(PYTHON) tests/bench/bench.py --build $(B) $(if $(WRITE),--write)

FUZZ_SECONDS = 20
fuzz:
	$(Q)$(PYTHON) tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS)
SOAK_SECONDS = 1800
soak: packages-test
	$(Q)$(MAKE) --no-print-directory test-binaries
	$(Q)$(PYTHON) tests/run.py --build $(B) --soak-seconds $(SOAK_SECONDS) soak

# ---- running -------------------------------------------------------------
run: packages-run
	$(Q)$(MAKE) --no-print-directory all
	$(Q)exec $(YOI_HOST) $(CONFIG)

packages-run:
	@tests/packages.sh $(PKGS_RUN)
packages-test:
	@tests/packages.sh $(PKGS_TEST)
	@tests/vectors.sh build/schema-suite || true # the run says that it skips them
	@tests/promtool.sh build/tools || true # what needs either fails without it,
	@tests/npm.sh build/npm $(NPM_TEST) || true # and all else is still tested
packages-bench:
	@tests/packages.sh $(PKGS_BENCH)
packages-deb:
	@tests/packages.sh $(PKGS_DEB)
packages-deb-check:
	@tests/packages.sh $(PKGS_DEB_CHECK)

# ---- installing ----------------------------------------------------------
# One list of what goes where, read by install and by uninstall: a folder and
# the files in it. `make PREFIX=/usr` and `make PREFIX=/usr install` name the
# same place, since the host looks for its plugins there.
VERSION  := $(shell sed -n '/^const char .yoi_version/,/^}/s/.*"\(.*\)".*/\1/p' host/embed.c)
SDK_LIBS  = $(SDK_CORE) $(SDK_SCHEMA) $(SDK_BUNDLE) $(SDK_RULES) $(SDK_HTTP)
MADE      = $(patsubst docs/install/%.in,$(P)/install/%,$(wildcard docs/install/*.in))
# The manual lies there as it does here, with links that lead to what is installed.
DOCDIR    = $(DATADIR)/doc/yoi
MANUAL    = README.md LICENSE $(wildcard docs/*.md docs/examples/*) docs/openapi.yaml docs/config.schema.json \
  $(wildcard plugins/*/README.md runtimes/*/README.md)
INSTALLED = $(BINDIR):$(P)/yoi-host $(BINDIR):$(CONFORM) \
  $(INCDIR):abi/yoi.h $(patsubst %,$(INCDIR)/yoi:%,$(wildcard abi/yoi/*.h)) \
  $(patsubst %,$(INCDIR)/sdk:%,$(wildcard abi/sdk/*.h)) \
  $(LIBDIR):$(LIBYOI_A) $(LIBDIR)/yoi:$(YOI_WORKER) $(LIBDIR)/yoi:abi/plugin.map $(SDK_LIBS:%=$(LIBDIR):%) \
  $(so_runtimes:%=$(LIBDIR)/yoi/runtimes:%) $(so_plugins:%=$(LIBDIR)/yoi/plugins:%) \
  $(patsubst %,$(LIBDIR)/pkgconfig:%,$(filter %.pc,$(MADE))) \
  $(patsubst %,$(UNITDIR):%,$(filter %.service %.socket,$(MADE))) \
  $(patsubst %,$(DATADIR)/bash-completion/completions:docs/install/%,yoi-host yoi-conform) \
  $(DATADIR)/yoi:docs/config.schema.json $(DATADIR)/yoi:$(P)/bundles/default.json \
  $(foreach f,$(MANUAL),$(patsubst %/.,%,$(DOCDIR)/$(patsubst %/,%,$(dir $(f)))):$(if $(filter %.md,$(f)),$(P)/manual/)$(f)) \
  $(foreach n,1 5 7,$(patsubst %,$(MANDIR)/man$(n):%,$(wildcard docs/man/*.$(n))))
into      = $(DESTDIR)$(firstword $(subst :, ,$(1)))
what      = $(lastword $(subst :, ,$(1)))
# A plugin or a program is executable, all else is not.
mode      = $(if $(filter %.so $(YOI_HOST) $(CONFORM) $(YOI_WORKER),$(1)),755,644)

$(P)/install/%: docs/install/%.in always
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|g; s|@LIBDIR@|$(LIBDIR)|g; s|@INCDIR@|$(INCDIR)|g' \
	  -e 's|@BINDIR@|$(BINDIR)|g; s|@VERSION@|$(VERSION)|g' $< >$@.$$$$ && mv $@.$$$$ $@

$(P)/manual/%: % docs/install/manual.awk always
	@mkdir -p $(@D)
	$(Q)awk -v page='$<' -v manual='$(DOCDIR)' -v headers='$(INCDIR)' -v units='$(UNITDIR)' \
	  -v files='$(MANUAL)' -f docs/install/manual.awk $< >$@.$$$$ && mv $@.$$$$ $@

define newline


endef
install: $(PRODUCTS) $(SDK_LIBS) $(MADE) $(patsubst %,$(P)/manual/%,$(filter %.md,$(MANUAL)))
	$(foreach i,$(INSTALLED),$(Q)install -D -m $(call mode,$(call what,$(i))) -t '$(call into,$(i))' $(call what,$(i))$(newline))
	$(Q)install -m 755 $(LIBYOI_SO) '$(DESTDIR)$(LIBDIR)/libyoi.so.$(VERSION)'
	$(Q)ln -sf libyoi.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libyoi.so.1'
	$(Q)ln -sf libyoi.so.1 '$(DESTDIR)$(LIBDIR)/libyoi.so'

# What install has put there, and the folders of our own when they are empty.
uninstall:
	$(foreach i,$(INSTALLED),$(Q)rm -f '$(call into,$(i))/$(notdir $(call what,$(i)))'$(newline))
	$(Q)rm -f $(foreach n,libyoi.so libyoi.so.1 libyoi.so.$(VERSION),'$(DESTDIR)$(LIBDIR)/$(n)')
	$(Q)for d in $(foreach d,$(INCDIR) $(LIBDIR)/yoi $(DATADIR)/yoi $(DOCDIR),'$(DESTDIR)$(d)'); do \
	  [ ! -d "$$d" ] || find "$$d" -depth -type d -empty -delete; done

# ---- Debian packages -----------------------------------------------------
# Of the last commit's time; what is no release is older than the release, and
# newer than what was built of earlier commits. (Without git SOURCE_DATE_EPOCH and
# DEB_VERSION say it.)
DEB         = $(B)/deb
MAINTAINER  = the yoi authors <yoi@example.org>
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
DEB_VERSION = $(VERSION)$(if $(shell git tag --points-at HEAD -l v$(VERSION) 2>/dev/null),,~$(shell \
                date -u -d @$(SOURCE_DATE_EPOCH) +%Y%m%d%H%M%S))
deb: packages-deb
	$(Q)rm -rf $(DEB)/stage
	$(Q)$(MAKE) --no-print-directory P=$(DEB)/usr PREFIX=/usr DESTDIR=$(DEB)/stage install
	$(Q)SOURCE_DATE_EPOCH='$(SOURCE_DATE_EPOCH)' MAINTAINER='$(MAINTAINER)' \
	  docs/install/deb/build.sh $(DEB)/stage $(DEB) '$(DEB_VERSION)'
deb-check: packages-deb-check deb
	$(Q)$(PYTHON) tests/deb.py --build $(B)

clean:
	rm -rf build

-include $(shell find $(sort $(B)/obj $(P)/obj) -name '*.d' 2>/dev/null)
