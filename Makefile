# The commands a person types; what they do is in meson.build and tools/.
BUILD ?= build

.PHONY: build deps deps-test deps-bench deps-deb deps-image deps-engine run test soak bench install deb image test-deb test-image test-dockerfile test-reproducible format clean

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

deps-deb:
	@tools/install-deps --deb

deps-image:
	@tools/install-deps --image

deps-engine:
	@tools/install-deps --engine

# Ctrl-C stops the store clean; the data stays in ./data. ARGS: more options of restfsd.
run: deps
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@ninja -C $(BUILD) restfsd restfs
	@exec $(BUILD)/restfsd --data ./data --s3 127.0.0.1:9000 --admin 127.0.0.1:9001 --hints $(ARGS)

# The last line is "N passed, N failed".
test: deps-test
	@$(MAKE) --no-print-directory build
	@tools/run-tests $(BUILD)

# The tests that look for rare failures, long: an hour and a half on two cores. PARTS: some of its parts; tools/soak --help lists them. SCALE=8: a night, SCALE=0.1: a tenth.
soak: deps-test
	@$(MAKE) --no-print-directory build
	@tools/soak --build $(BUILD) --scale $(or $(SCALE),1) $(PARTS)

bench: deps-bench
	@$(MAKE) --no-print-directory build
	@bench/run --build $(BUILD) $(ARGS)

# A release build: programs, unit of systemd, configuration. DESTDIR: a directory in place of the root; PREFIX=/usr: /etc/restfs, not /usr/local/etc/restfs.
install: deps
	@[ -e build-install/build.ninja ] || meson setup --buildtype=release -Dtests=false build-install
	@meson configure build-install -Dprefix=$(or $(PREFIX),/usr/local)
	@ninja -C build-install
	@DESTDIR="$(DESTDIR)" meson install -C build-install --no-rebuild
	@[ "$$(id -u)" != 0 ] || chown -Rh --reference=. build-install || :

# Debian packages, in build-deb. ARGS: of tools/make-deb.
deb: deps-deb
	@tools/make-deb $(ARGS)

# As root: builds them in a Debian of their own, and installs, upgrades, removes and purges them in another.
test-deb: deps-image
	@tools/test-deb $(ARGS)

# The same as packaging/container/Dockerfile makes, without a container engine: as root.
image: deps-image deb
	@tools/make-image $(ARGS) build-deb/restfs-image.tar
	@chown --reference=. build-deb/restfs-image.tar || :

test-image: image
	@tools/test-image build-deb/restfs-image.tar

# As root: builds packaging/container/Dockerfile in podman, and runs it.
test-dockerfile: deps-engine deb
	@tools/test-dockerfile

# Are two builds in two places the same bytes?
test-reproducible: deps-deb
	@tools/test-reproducible

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf $(BUILD) build-install build-deb build-python
