package hubsim

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

// stored is a file that was uploaded: its record and what the record does not say.
type stored struct {
	row         *row
	disk        string
	sha256      string
	contentType string
	uploads     int
	uploadedAt  time.Time
	linkedAt    time.Time
}

// incoming is a part of an upload that lies in a temporary file.
type incoming struct {
	name, contentType, disk, sha256 string
	size                            int64
}

func (s *Sim) handleUpload(w http.ResponseWriter, r *http.Request) {
	bucket := r.PathValue("id")
	s.mu.Lock()
	known := s.tables["buckets"].byID[bucket] != nil
	s.mu.Unlock()
	if !known {
		s.notFound(w)
		return
	}
	parts, err := s.receive(r)
	defer func() {
		for _, p := range parts {
			_ = os.Remove(p.disk) // those that were kept have moved
		}
	}()
	if err != nil {
		s.log.Info("an upload failed", "error", err)
		s.refuse(w, http.StatusBadRequest, "BAD_REQUEST", "The upload could not be read.")
		return
	}
	made := []map[string]any{}
	for _, p := range parts {
		v, err := s.keep(bucket, p)
		if err != nil {
			s.refuse(w, http.StatusConflict, "ENTITY_EXISTS", "A file of this path exists in the bucket.")
			return
		}
		made = append(made, v)
	}
	s.list(w, http.StatusCreated, made, len(made), len(made), 0)
}

// receive streams the parts with a file name to disk; others are skipped, as the hub does.
func (s *Sim) receive(r *http.Request) (parts []incoming, err error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("read the form: %w", err)
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, fmt.Errorf("read the next part: %w", err)
		}
		// Part.FileName would cut the folders off.
		_, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		name, isFile := params["filename"]
		if !isFile {
			continue
		}
		in := incoming{name: name, contentType: part.Header.Get("Content-Type")}
		sum := sha256.New()
		in.disk, in.size, err = spool(dir, part, sum)
		in.sha256 = hex.EncodeToString(sum.Sum(nil))
		if err != nil {
			return parts, err
		}
		parts = append(parts, in)
	}
}

func spool(dir string, r io.Reader, sum hash.Hash) (name string, size int64, err error) {
	f, err := os.CreateTemp(dir, "upload-*")
	if err != nil {
		return "", 0, fmt.Errorf("make a file: %w", err)
	}
	size, err = io.Copy(io.MultiWriter(f, sum), r)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", 0, fmt.Errorf("keep an upload: %w", err)
	}
	return f.Name(), size, nil
}

// folder is where files are kept, made when the first comes.
func (s *Sim) folder() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "lodge-hubsim-")
		if err != nil {
			return "", fmt.Errorf("make a folder: %w", err)
		}
		s.dir, s.madeDir = dir, true
	}
	return s.dir, nil
}

var errTaken = errors.New("the bucket has a file of this path")

// keep stores a part. As in the real hub a path that is taken has its bytes overwritten first and
// is refused then.
func (s *Sim) keep(bucket string, in incoming) (map[string]any, error) {
	sum := sha256.Sum256([]byte(in.name))
	name := hex.EncodeToString(sum[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	disk := filepath.Join(s.dir, bucket+"-"+name)
	if err := os.Rename(in.disk, disk); err != nil {
		return nil, fmt.Errorf("keep an upload: %w", err)
	}
	for _, r := range s.tables["bucket-files"].where("bucket_id", bucket) {
		if r.v["path"] == in.name {
			f := s.files[fmt.Sprint(r.v["id"])]
			f.sha256, f.uploads = in.sha256, f.uploads+1
			return nil, errTaken
		}
	}
	f := &stored{disk: disk, sha256: in.sha256, contentType: in.contentType, uploads: 1, uploadedAt: s.now()}
	f.row = s.add("bucket-files", map[string]any{
		"id": uuid.NewString(), "name": path.Base(in.name), "path": in.name, "hash": name, "directory": path.Dir(in.name),
		"size": in.size, "actor_type": "robot", "actor_id": robot, "bucket_id": bucket, "realm_id": masterRealm,
	})
	s.files[fmt.Sprint(f.row.v["id"])] = f
	s.order = append(s.order, f)
	if s.linksItself() {
		s.linkAlone(f, bucket)
	}
	s.log.Info("the simulated hub received a file", "name", in.name, "size", in.size)
	return maps.Clone(f.row.v), nil
}

// linkAlone is what later hubs do after an upload. The lock is held.
func (s *Sim) linkAlone(f *stored, bucket string) {
	for _, b := range s.tables["analysis-buckets"].where(s.storageKey(), bucket) {
		f.linkedAt = s.now()
		s.add("analysis-bucket-files", map[string]any{
			"id": uuid.NewString(), "path": f.row.v["path"], "bucket_file_id": f.row.v["id"], "bucket_id": bucket,
			"analysis_bucket_id": b.v["id"], "root": false, "analysis_id": b.v["analysis_id"], "realm_id": masterRealm,
		})
	}
}

func (s *Sim) handleStream(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.files[r.PathValue("id")]
	s.mu.Unlock()
	if f == nil {
		s.notFound(w)
		return
	}
	file, err := os.Open(f.disk)
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "An internal server error occurred.")
		return
	}
	defer func() { _ = file.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		_, _ = io.Copy(packed, file)
		_ = packed.Close()
		return
	}
	w.Header().Set("Content-Encoding", "identity")
	w.WriteHeader(http.StatusOK)
	// The hub sends no length: flushed headers make the body chunked.
	_ = http.NewResponseController(w).Flush()
	_, _ = io.Copy(w, file)
}

func (s *Sim) handleDeleteFile(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	f := s.files[id]
	if f != nil {
		s.tables["bucket-files"].remove(f.row)
		delete(s.files, id)
		_ = os.Remove(f.disk)
	}
	s.mu.Unlock()
	if f == nil {
		s.notFound(w)
		return
	}
	s.one(w, http.StatusAccepted, f.row.v)
}
