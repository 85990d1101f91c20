package daemon

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// SealedPath is the path of the encrypted status on ServerOptions.Listen.
	SealedPath = "/status.sealed"
	// StatusesPath is the path of ServerOptions.Statuses on ServerOptions.Listen.
	StatusesPath = "/statuses.sealed"
	// sealInfo binds the derived key to its use (RFC 5869, 3.2).
	sealInfo = "lanlord status 1"
	// oldestStatus is the greatest allowed difference between the time of a status and the local clock. The limit
	// bounds the time in which a host on the path can repeat a recorded status.
	oldestStatus = 5 * time.Minute
	// minSealSecret is the least length in bytes of a secret. The key is derived from the secret.
	minSealSecret = 16
	// maxSeals is the greatest number of encrypted statuses that a sealer computes at the same time.
	maxSeals = 2
)

// Sealed is the encrypted status of a process. The key is derived from a secret.
type Sealed struct {
	// Pod is the name of the Pod of the process. The encryption protects Pod from changes.
	Pod string `json:"pod"`
	// Status is a nonce of 12 bytes and the compressed JSON, encrypted by AES-256-GCM.
	Status []byte `json:"status"`
}

// Statuses holds the encrypted statuses of all processes, as ServerOptions.Statuses serves them in JSON.
type Statuses struct {
	Sealed []Sealed `json:"sealed"`
	// Problems holds the reason for each Pod without a status.
	Problems map[string]string `json:"problems,omitempty"`
}

// Seal encrypts the status of the process of a pod. The secret must have at least 16 bytes.
func Seal(secret []byte, pod string, status []byte) (Sealed, error) {
	aead, err := sealCipher(secret)
	if err != nil {
		return Sealed{}, err
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(status); err != nil {
		return Sealed{}, fmt.Errorf("compress the status: %w", err)
	}
	if err := zip.Close(); err != nil {
		return Sealed{}, fmt.Errorf("compress the status: %w", err)
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+packed.Len()+aead.Overhead())
	rand.Read(nonce) // never fails
	return Sealed{Pod: pod, Status: aead.Seal(nonce, nonce, packed.Bytes(), []byte(pod))}, nil
}

// Open returns the status that Seal encrypted. Open returns an error for another secret, and for a changed Pod or
// Status.
func (s Sealed) Open(secret []byte) ([]byte, error) {
	aead, err := sealCipher(secret)
	if err != nil {
		return nil, err
	}
	if len(s.Status) < aead.NonceSize() {
		return nil, fmt.Errorf("encrypted status of %d bytes", len(s.Status))
	}
	packed, err := aead.Open(nil, s.Status[:aead.NonceSize()], s.Status[aead.NonceSize():], []byte(s.Pod))
	if err != nil {
		return nil, fmt.Errorf("decrypt the status: %w", err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("decompress the status: %w", err)
	}
	status, err := io.ReadAll(io.LimitReader(zip, maxStatus))
	if err != nil {
		return nil, fmt.Errorf("decompress the status: %w", err)
	}
	return status, nil
}

// CheckAge returns an error for a status in JSON whose time differs from now by more than five minutes, and for a text
// without a time. Such a status may be a recording.
func CheckAge(status []byte, now time.Time) error {
	var told struct{ Time time.Time }
	if err := json.Unmarshal(status, &told); err != nil {
		return fmt.Errorf("its answer could not be read: %w", err)
	}
	if age := now.Sub(told.Time); age.Abs() > oldestStatus {
		return fmt.Errorf("its answer is of %s, and here it is %s: the clocks differ, or an old answer was repeated",
			told.Time.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

func sealCipher(secret []byte) (cipher.AEAD, error) {
	if len(secret) < minSealSecret {
		return nil, fmt.Errorf("secret of %d bytes; it must have at least %d", len(secret), minSealSecret)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, sealInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealer serves the encrypted status.
type sealer struct {
	status http.Handler
	pod    string
	key    func(context.Context) ([]byte, error)
	slots  chan struct{}
}

func newSealer(o *ServerOptions) *sealer {
	return &sealer{status: o.Status, pod: o.Pod, key: o.Key, slots: make(chan struct{}, maxSeals)}
}

func (s *sealer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-r.Context().Done():
		return
	}
	text, err := s.seal(r.Context())
	if err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(text) // a client that has disconnected asks again
}

func (s *sealer) seal(ctx context.Context) ([]byte, error) {
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, statusPath, nil)
	if err != nil {
		return nil, err
	}
	plain := reply{header: http.Header{}, code: http.StatusOK}
	s.status.ServeHTTP(&plain, request)
	if plain.code != http.StatusOK {
		return nil, errors.New("the status cannot be told")
	}
	sealed, err := Seal(key, s.pod, plain.Bytes())
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed)
}

// reply keeps the answer of a handler in memory.
type reply struct {
	bytes.Buffer
	header http.Header
	code   int
}

func (r *reply) Header() http.Header  { return r.header }
func (r *reply) WriteHeader(code int) { r.code = code }
