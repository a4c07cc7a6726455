# The commands a person types; what they do is in meson.build and tools/.
BUILD ?= build

.PHONY: build deps deps-test deps-bench run test soak bench format clean

build: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD)

# Installs the packages that are missing; asks apt-get only then.
deps:
	@tools/install-deps

deps-test:
	@tools/install-deps --test

deps-bench:
	@tools/install-deps --bench

# Ctrl-C stops the store clean; the data stays in ./data. ARGS: more options of restfsd.
run: deps
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@ninja -C $(BUILD) restfsd restfs
	@exec $(BUILD)/restfsd --data ./data --s3 127.0.0.1:9000 --admin 127.0.0.1:9001 --hints $(ARGS)

# The last line is "N passed, N failed".
test: deps-test
	@$(MAKE) --no-print-directory build
	@tools/run-tests $(BUILD)

# The crash tests, long: 1,000 kills, 1,000 stores damaged and salvaged, 100,000 races, 200 rounds of power cuts (2,400 disks), 200,000
# operations whose order is looked for, every call that may fail; the end-to-end tests with files of 5 GiB (25 GiB of disk must be free) and
# all of /usr/include;
# each fuzzer for ten minutes.
soak: deps-test
	@$(MAKE) --no-print-directory build
	@RESTFS_ROUNDS=$${RESTFS_ROUNDS:-1000} RESTFS_RACES=$${RESTFS_RACES:-100000} \
		RESTFS_POWER_ROUNDS=$${RESTFS_POWER_ROUNDS:-200} RESTFS_LARGE_MIB=$${RESTFS_LARGE_MIB:-5120} RESTFS_TREE_FILES=$${RESTFS_TREE_FILES:-100000} \
		RESTFS_LINEAR_ROUNDS=$${RESTFS_LINEAR_ROUNDS:-250} RESTFS_FAULTS=$${RESTFS_FAULTS:-all} \
		RESTFS_TEST_SECONDS=$${RESTFS_TEST_SECONDS:-3600} tools/run-tests --only e2e --only crash $(BUILD); \
		tests=$$?; tests/fuzz/run $${RESTFS_FUZZ_SECONDS:-600} && exit $$tests

bench: deps-bench
	@$(MAKE) --no-print-directory build
	@bench/run --build $(BUILD) $(ARGS)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf $(BUILD) build-python
