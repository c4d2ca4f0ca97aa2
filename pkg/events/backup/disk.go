package backup

import (
	"io"
	"os"
	"path/filepath"
)

// disk is the file system, with a step before each change of it at which tests
// have a backup end.
type disk struct {
	step func(what, path string) error // nil: none
}

func (d disk) before(what, path string) error {
	if d.step == nil {
		return nil
	}
	return d.step(what, path)
}

func (d disk) mkdir(path string) error {
	if err := d.before("mkdir", path); err != nil {
		return err
	}
	return os.MkdirAll(path, 0o755)
}

func (d disk) create(path string) (*os.File, error) {
	if err := d.before("create", path); err != nil {
		return nil, err
	}
	return os.Create(path)
}

func (d disk) writer(f *os.File) io.Writer {
	if d.step == nil {
		return f
	}
	return stepping{d, f}
}

type stepping struct {
	disk
	file *os.File
}

func (s stepping) Write(b []byte) (int, error) {
	if err := s.before("write", s.file.Name()); err != nil {
		n, _ := s.file.Write(b[:len(b)/2]) // as a process that is killed, or a disk that is full
		return n, &os.PathError{Op: "write", Path: s.file.Name(), Err: err}
	}
	return s.file.Write(b)
}

func (d disk) sync(f *os.File) error {
	if err := d.before("sync", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

// rename gives a file the name that it keeps, on the disk too.
func (d disk) rename(from, to string) error {
	if err := d.before("rename", to); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return d.syncFolder(filepath.Dir(to))
}

func (d disk) syncFolder(path string) error {
	if err := d.before("sync", path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d disk) remove(path string) error {
	if err := d.before("remove", path); err != nil {
		return err
	}
	return os.Remove(path)
}
