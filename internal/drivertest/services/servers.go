package services

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	region = "us-east-1"

	postgresHowto = "install PostgreSQL 14 or newer (Debian, Ubuntu: apt-get install postgresql), or set " +
		PostgresVariable + " to one that runs"
	mariadbHowto = "install MariaDB (Debian, Ubuntu: apt-get install mariadb-server), or set " +
		MariaDBVariable + " to one that runs"
	s3Howto = "put versitygw (github.com/versity/versitygw) into .cache/bin of the module or into PATH, for example with " +
		"GOBIN=$PWD/.cache/bin go install github.com/versity/versitygw/cmd/versitygw@latest, or set " +
		S3Variable + " to an S3-compatible store that runs"
	dockerHowto = "install Docker (Debian, Ubuntu: apt-get install docker.io) and run this as root, or set " +
		DockerVariable + " to an engine that runs, such as unix:///var/run/docker.sock"
)

// StartPostgres starts a PostgreSQL server that forgets everything when the machine fails.
func StartPostgres(ctx context.Context) (*Server, error) {
	const places = "/usr/lib/postgresql/*/bin/"
	server, err := program("postgres", postgresHowto, places+"postgres")
	if err != nil {
		return nil, err
	}
	initdb, err := program("initdb", postgresHowto, places+"initdb")
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	return recipe{
		name: "postgres", stop: "QUIT", asUser: "postgres",
		prepare: func(dir string) ([]string, error) {
			file := filepath.Join(dir, "password")
			if err := os.WriteFile(file, []byte(password), 0o644); err != nil {
				return nil, err
			}
			return []string{
				initdb, "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "password",
				"--pwfile", file, "-E", "UTF8", "--locale=C", "--no-sync",
			}, nil
		},
		command: func(dir string, port int) []string {
			return []string{
				server, "-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(port),
				"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=400",
				"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
				"-c", "shared_buffers=64MB", "-c", "deadlock_timeout=100ms", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
			}
		},
		url: func(_ string, port int) string {
			return fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", password, port)
		},
		ready: func(ctx context.Context, url string) error { return ping(ctx, "pgx", url) },
	}.start(ctx)
}

// StartMariaDB starts a MariaDB server that forgets everything when the machine fails.
func StartMariaDB(ctx context.Context) (*Server, error) {
	server, err := program("mariadbd", mariadbHowto, "/usr/sbin/mariadbd", "/usr/libexec/mariadbd")
	if err != nil {
		return nil, err
	}
	install, err := program("mariadb-install-db", mariadbHowto, "/usr/bin/mariadb-install-db")
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	return recipe{
		name: "mariadb", stop: "TERM", asUser: "mysql",
		prepare: func(dir string) ([]string, error) {
			first := fmt.Sprintf("CREATE USER IF NOT EXISTS lodge@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO lodge@'%%';\n", password)
			if err := os.WriteFile(filepath.Join(dir, "first.sql"), []byte(first), 0o644); err != nil {
				return nil, err
			}
			return []string{
				install, "--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--skip-test-db",
				"--auth-root-authentication-method=normal", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
			}, nil
		},
		command: func(dir string, port int) []string {
			return []string{
				server, "--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--init-file=" + filepath.Join(dir, "first.sql"),
				"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--socket=" + filepath.Join(dir, "s"),
				"--pid-file=" + filepath.Join(dir, "server.pid"), "--skip-name-resolve", "--skip-log-bin", "--max-connections=400",
				"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--sync-frm=0", "--innodb-file-per-table=0", "--innodb-doublewrite=0", "--innodb-fast-shutdown=2",
				"--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--performance-schema=OFF",
			}
		},
		url: func(_ string, port int) string {
			return fmt.Sprintf("mysql://lodge:%s@127.0.0.1:%d/mysql", password, port)
		},
		ready: func(ctx context.Context, url string) error {
			dsn, err := mariadbDSN(url)
			if err != nil {
				return err
			}
			return ping(ctx, "mysql", dsn)
		},
	}.start(ctx)
}

// StartDocker starts a Docker engine of its own, with everything that it keeps in a temporary folder.
func StartDocker(ctx context.Context) (*Server, error) {
	server, err := program("dockerd", dockerHowto, "/usr/sbin/dockerd", "/usr/bin/dockerd")
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("dockerd needs root: " + dockerHowto)
	}
	address := func(dir string) string { return "unix://" + filepath.Join(dir, "s") }
	firewall := os.Getenv(DockerVariable) == "" && os.Getenv(BesideVariable) == ""
	return recipe{
		name: "docker", stop: "TERM",
		// The engine would leave the bridges and the firewall's rules of its networks to the machine.
		farewell: "docker -H unix://$PWD/s ps -aq | xargs -r docker -H unix://$PWD/s rm -f; docker -H unix://$PWD/s network prune -f",
		prepare:  func(string) ([]string, error) { return nil, nil },
		command: func(dir string, _ int) []string {
			return []string{
				// Its containerd writes its stacks there when it is slow to start.
				"env", "TMPDIR=" + dir, server, "-H", address(dir), "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
				"-p", filepath.Join(dir, "docker.pid"), "--bridge=none", "--log-level=warn", fmt.Sprintf("--iptables=%t", firewall),
			}
		},
		url: func(dir string, _ int) string { return address(dir) },
		ready: func(ctx context.Context, url string) error {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(url, "unix://"))
			}}}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", http.NoBody)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status)
			}
			return nil
		},
	}.start(ctx)
}

// StartS3 starts an S3-compatible store over a folder.
func StartS3(ctx context.Context) (*Server, error) {
	places := []string{}
	if root, err := moduleRoot(); err == nil {
		places = append(places, filepath.Join(root, ".cache", "bin", "versitygw"))
	}
	server, err := program("versitygw", s3Howto, places...)
	if err != nil {
		return nil, err
	}
	access, secret := rand.Text()[:16], rand.Text()
	return recipe{
		name: "s3", stop: "TERM",
		env: []string{"ROOT_ACCESS_KEY=" + access, "ROOT_SECRET_KEY=" + secret},
		prepare: func(dir string) ([]string, error) {
			// Beside the objects, so that the folder's file system needs no extended attributes.
			if err := os.Mkdir(filepath.Join(dir, "meta"), 0o700); err != nil {
				return nil, err
			}
			return nil, os.Mkdir(filepath.Join(dir, "data"), 0o700)
		},
		command: func(dir string, port int) []string {
			return []string{
				server, "--port", fmt.Sprintf("127.0.0.1:%d", port), "--region", region, "--quiet", "--keep-alive",
				"--health", "/health", "posix", "--sidecar", filepath.Join(dir, "meta"), filepath.Join(dir, "data"),
			}
		},
		url: func(_ string, port int) string {
			return fmt.Sprintf("http://%s:%s@%s/?region=%s", access, secret, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), region)
		},
		ready: healthy,
	}.start(ctx)
}

func ping(ctx context.Context, driver, dsn string) error {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

func healthy(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.URL.Path, req.URL.User = "/health", nil
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("health: %s", res.Status)
	}
	_ = res.Body.Close()
	return err
}

// moduleRoot is the folder of go.mod above the working folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", os.ErrNotExist
		}
		dir = filepath.Dir(dir)
	}
}
