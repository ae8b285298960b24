# Short names for what Meson and tools/ do. `make run ARGS="--node gpu1 --node gpu2"` is all that a user needs.
# NO_WEB=1 builds without npm, and so without the dashboard.
ARGS =

all:
	@tools/setup build $(if $(NO_WEB),,web)
	@tools/build release src/ollamamax
	@ln -sfn release/src/ollamamax build/ollamamax

run: all
	@tools/run $(ARGS)

install: all
	@meson install -C build/release --no-rebuild

test:
	@tools/setup build test
	@tools/test release asan live page

asan tsan fuzz sweep:
	@tools/setup build $@
	@tools/test $@

lint:
	@tools/setup lint
	@tools/lint

bench: all
	@tools/setup bench
	@build/ollamamax bench $(ARGS)

clean:
	rm -rf build

.PHONY: all run install test asan tsan fuzz sweep lint bench clean
