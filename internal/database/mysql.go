package database

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"lodge/internal/fault"
)

// settle makes a session behave like the other databases: values that do not fit are
// errors, || joins texts, "x" is a name, a backslash is a backslash, and a transaction
// sees what others commit.
func settle() []string {
	return []string{
		`SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,` +
			`ONLY_FULL_GROUP_BY,ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'`,
		`SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED`,
	}
}

// openMySQL connects to a MySQL or MariaDB server. The URL's query may hold tls (true,
// skip-verify, preferred), ca_file and socket.
func openMySQL(ctx context.Context, u *url.URL, log *slog.Logger) (*DB, error) {
	query := u.Query()
	conns, err := takeConns(query)
	if err != nil {
		return nil, err
	}
	cfg, err := mysqlConfig(u, query)
	if err != nil {
		return nil, err
	}
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the database's URL is not one of MySQL")
	}
	db := &DB{dialect: MySQL, pool: sql.OpenDB(connector{Connector: c, prepare: settle()}), log: log}
	if err := db.connect(ctx, conns); err != nil {
		return nil, err
	}
	if db.collation, err = exactCollation(ctx, db); err != nil {
		_ = db.pool.Close()
		return nil, fmt.Errorf("open database: %w", explain(err))
	}
	return db, nil
}

func mysqlConfig(u *url.URL, query url.Values) (*mysql.Config, error) {
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.DBName = strings.TrimPrefix(u.Path, "/")
	cfg.Net, cfg.Addr = "tcp", u.Host
	if u.Port() == "" {
		cfg.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	cfg.Collation = "utf8mb4_bin"
	cfg.Timeout = 10 * time.Second
	// Compare-and-set needs the rows that matched, changed or not.
	cfg.ClientFoundRows = true
	// Values go with the statement: one journey instead of three.
	cfg.InterpolateParams = true
	cfg.ParseTime = true
	// What goes wrong is returned as an error; the driver need not print it too.
	cfg.Logger = &mysql.NopLogger{}
	for key := range query {
		value := query.Get(key)
		switch key {
		case "tls":
			cfg.TLSConfig = value
		case "ca_file":
			pem, err := os.ReadFile(value)
			if err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "ca_file in the database's URL cannot be read")
			}
			roots := x509.NewCertPool()
			if !roots.AppendCertsFromPEM(pem) {
				return nil, fault.New(fault.Invalid, "ca_file in the database's URL holds no certificate")
			}
			cfg.TLS = &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
		case "socket":
			cfg.Net, cfg.Addr = "unix", value
		default:
			return nil, fault.New(fault.Invalid, "the database's URL does not know %q; it knows tls, ca_file, socket and pool_max_conns", key)
		}
	}
	return cfg, nil
}

// exactCollation is the server's collation that compares byte for byte, trailing spaces
// included: a name with a space behind it must not pass for the name without.
func exactCollation(ctx context.Context, db *DB) (string, error) {
	var name string
	err := db.QueryRow(ctx, `SELECT collation_name FROM information_schema.collations
		WHERE collation_name IN ('utf8mb4_0900_bin', 'utf8mb4_nopad_bin') ORDER BY collation_name LIMIT 1`).Scan(&name)
	return name, err
}
