// Package services starts real servers for tests: PostgreSQL, MariaDB, an
// S3-compatible store and a Docker engine, on free loopback ports in temporary folders.
//
// Each is started once per test process, when the first test asks for it, and each test
// gets its own empty database or bucket. To share servers between the packages of a
// whole run, start them with cmd/withservices:
//
//	go run ./internal/drivertest/services/cmd/withservices go test ./...
//
// A server never outlives the process that started it, however that ends: it runs under
// a keeper that stops it and removes its folder as soon as a pipe to the starter closes.
//
// A server that cannot be had fails the test with a sentence that says how to get it.
package services

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // registers pgx
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// These variables name servers that run already, as URLs with an administrator's login.
const (
	PostgresVariable = "LODGE_TEST_POSTGRES_URL"
	MariaDBVariable  = "LODGE_TEST_MARIADB_URL"
	S3Variable       = "LODGE_TEST_S3_URL"
	DockerVariable   = "LODGE_TEST_DOCKER_HOST"
	// BesideVariable says that another Docker engine runs on this machine. One that starts would undo
	// the firewall's rules of that, which keep people's networks apart.
	BesideVariable = "LODGE_TEST_BESIDE_DOCKER"
)

// The servers of this test process. They are shared between its tests, which nothing
// but a variable of the package can do.
var (
	postgres = sync.OnceValues(func() (*Server, error) { return shared(PostgresVariable, StartPostgres) })
	mariadb  = sync.OnceValues(func() (*Server, error) { return shared(MariaDBVariable, StartMariaDB) })
	s3       = sync.OnceValues(func() (*Server, error) { return shared(S3Variable, StartS3) })
	docker   = sync.OnceValues(func() (*Server, error) { return shared(DockerVariable, StartDocker) })
)

// shared gives the Server itself and not its URL: when it is collected as garbage, its pipe
// closes and the server ends.
func shared(variable string, start func(context.Context) (*Server, error)) (*Server, error) {
	if running := os.Getenv(variable); running != "" {
		return &Server{URL: running}, nil
	}
	return start(context.Background())
}

// needServers leaves a test out of the quick half, which is asked for by -short and starts no server.
func needServers(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs a real server: run it without -short")
	}
}

// Postgres is the URL of a fresh, empty PostgreSQL database, dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	needServers(t)
	server, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	return freshDatabase(t, "pgx", server.URL, server.URL, " WITH (FORCE)")
}

// MariaDB is the URL of a fresh, empty MariaDB database, dropped when the test ends.
func MariaDB(t testing.TB) string {
	t.Helper()
	needServers(t)
	server, err := mariadb()
	if err != nil {
		t.Fatal(err)
	}
	dsn, err := mariadbDSN(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return freshDatabase(t, "mysql", server.URL, dsn, "")
}

// Docker is the address of a Docker engine. Tests share it: each marks what it makes, and removes it.
func Docker(t testing.TB) string {
	t.Helper()
	needServers(t)
	server, err := docker()
	if err != nil {
		t.Fatal(err)
	}
	return server.URL
}

func freshDatabase(t testing.TB, driver, admin, dsn, force string) string {
	t.Helper()
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	name := "lodge_" + strings.ToLower(rand.Text()[:12])
	statement := func(ctx context.Context, text string) error {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		_, err = db.ExecContext(ctx, text)
		return err
	}
	if err := statement(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		// The test's context has ended by now.
		if err := statement(context.Background(), "DROP DATABASE "+name+force); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

func mariadbDSN(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User = "tcp", u.Host, u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.DBName = strings.TrimPrefix(u.Path, "/")
	cfg.Logger = &mysql.NopLogger{}
	return cfg.FormatDSN(), nil
}

// Bucket is where a bucket of an S3-compatible store is and how to log in.
type Bucket struct {
	// Endpoint is host:port, without TLS.
	Endpoint  string
	Name      string
	Region    string
	AccessKey string
	SecretKey string
}

// S3 is a fresh, empty bucket, removed with its objects when the test ends.
func S3(t testing.TB) Bucket {
	t.Helper()
	needServers(t)
	server, err := s3()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := u.User.Password()
	b := Bucket{
		Endpoint: u.Host, Name: "lodge-" + strings.ToLower(rand.Text()[:12]), Region: cmp.Or(u.Query().Get("region"), region),
		AccessKey: u.User.Username(), SecretKey: secret,
	}
	client, err := minio.New(b.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(b.AccessKey, b.SecretKey, ""), Region: b.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), b.Name, minio.MakeBucketOptions{Region: b.Region}); err != nil {
		t.Fatalf("make a bucket: %v", err)
	}
	t.Cleanup(func() {
		if err := removeBucket(context.Background(), client, b.Name); err != nil {
			t.Errorf("remove the test's bucket: %v", err)
		}
	})
	return b
}

func removeBucket(ctx context.Context, client *minio.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for upload := range client.ListIncompleteUploads(ctx, name, "", true) {
		if upload.Err != nil {
			return upload.Err
		}
		if err := client.RemoveIncompleteUpload(ctx, name, upload.Key); err != nil {
			return err
		}
	}
	for object := range client.ListObjects(ctx, name, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return object.Err
		}
		if err := client.RemoveObject(ctx, name, object.Key, minio.RemoveObjectOptions{}); err != nil {
			return fmt.Errorf("%s: %w", object.Key, err)
		}
	}
	return client.RemoveBucket(ctx, name)
}
