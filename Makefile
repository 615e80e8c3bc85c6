# The verbs of the project, over the CMake presets. Each installs the Debian packages that it needs and misses.
SHELL := bash
.DEFAULT_GOAL := build
.PHONY: run build test test-isa asan clang tidy format format-check reference layers lines bench clean

INSTALL := .ci/install_packages
CTEST := ctest --output-on-failure --no-tests=error --parallel 2 --test-dir
SOURCES = find src apps tests -name '*.cpp' -o -name '*.hpp'

run: build  ## the quick start: about a minute on 2 cores
	./build/qtrain experiments/quickstart.yaml --out runs/quickstart-$$(date +%Y%m%d-%H%M%S)

build:
	@$(INSTALL) build
	@test -f build/build.ninja || cmake --preset release
	cmake --build build

test: build
	@$(INSTALL) test
	$(CTEST) build

test-isa: build  ## every test on each instruction set that this machine has
	@$(INSTALL) test
	QTRAIN_ISA=reference $(CTEST) build
	! grep -qw avx2 /proc/cpuinfo || QTRAIN_ISA=avx2 $(CTEST) build
	! grep -qw avx512vl /proc/cpuinfo || QTRAIN_ISA=avx512bw $(CTEST) build
	! grep -qw avx512_bitalg /proc/cpuinfo || QTRAIN_ISA=avx512 $(CTEST) build

asan:
	@$(INSTALL) build
	@test -f build-asan/build.ninja || cmake --preset asan
	cmake --build build-asan
	$(CTEST) build-asan

clang:
	@$(INSTALL) build clang
	@test -f build-clang/build.ninja || cmake --preset clang
	cmake --build build-clang

tidy: build
	@$(INSTALL) tidy
	run-clang-tidy -quiet -p build '$(CURDIR)/(src|apps)/'

format:
	@$(INSTALL) format
	$(SOURCES) | xargs clang-format -i

format-check:
	@$(INSTALL) format
	$(SOURCES) | xargs clang-format --dry-run -Werror

reference: build  ## writes the spec reference into README.md
	sed -i '/^<!-- made by `qtrain reference`/q' README.md
	(echo; ./build/qtrain reference) >> README.md

layers:
	tests/scripts/check_layers.sh

lines:
	@tests/scripts/lines.sh

bench: build  ## beside the peer, in one run
	@$(INSTALL) bench
	./build/qtrain_bench --peer "/usr/bin/python3 apps/bench/peer.py"
	./build/qtrain_bench --precision bfloat16 --rounds 3 --peer "/usr/bin/python3 apps/bench/peer.py"
	./build/qtrain_bench --language-model --rounds 3 --steps 4 --peer "/usr/bin/python3 apps/bench/peer.py --language-model --steps 4"
	./build/qtrain_bench --methods --rounds 3 --steps 5
	./build/qtrain_bench --bits
	./build/qtrain_bench --inference

clean:
	rm -rf build build-asan build-clang
