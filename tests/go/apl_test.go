package aplsmoke

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const config = `
base_url: ${HOSTILE_URL}
retry_count: 1
timeout: 30
endpoints:
  numbers: {path: /numbers}
  teapot: {path: /status/418}
  hang: {path: /hang-head}
  arrived: {path: '/arrived/{key}'}
  echo: {path: /echo}
`

func connector(t *testing.T) *Connector {
	t.Helper()
	if os.Getenv("HOSTILE_URL") == "" {
		t.Fatal("HOSTILE_URL is not set: run this under tests/support/with-server")
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func wantFault(t *testing.T, err error, status int) *Fault {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) || f.Status != status {
		t.Fatalf("got %v, want status %d", err, status)
	}
	return f
}

func TestVersions(t *testing.T) {
	if library, header := Versions(); library != header {
		t.Fatalf("the library has ABI %d, the header %d", library, header)
	}
}

func TestFetchHandsNumbersThrough(t *testing.T) {
	got, err := connector(t).Fetch(context.Background(), "numbers", "")
	want := `{"id": 123456789012345678901234567890, "x": 0.1234567890123456789, "z": -0}`
	if err != nil || string(got) != want {
		t.Fatalf("got %q and %v", got, err)
	}
}

func TestErrors(t *testing.T) {
	c := connector(t)
	_, err := c.Fetch(context.Background(), "teapot", "")
	f := wantFault(t, err, HTTPStatus)
	if f.HTTPStatus != 418 || f.Category != "CLIENT" || f.Retryable || !strings.Contains(f.Body, "as asked") {
		t.Errorf("got %+v", f)
	}
	_, err = c.Fetch(context.Background(), "ecko", "")
	if f := wantFault(t, err, UnknownEndpoint); !strings.Contains(f.Message, "echo") {
		t.Errorf("no nearest name in %q", f.Message)
	}
	if _, err = New("{"); err == nil {
		t.Error("half a configuration was accepted")
	}
}

func TestContextCancels(t *testing.T) {
	c := connector(t)
	ctx, cancel := context.WithCancel(context.Background())
	at := make(chan time.Time, 1)
	go func() {
		if _, err := c.Fetch(context.Background(), "arrived", `{"key": "go"}`); err != nil {
			t.Error(err)
		}
		at <- time.Now()
		cancel()
	}()
	_, err := c.Fetch(ctx, "hang", `{"key": "go"}`)
	wantFault(t, err, Cancelled)
	if took := time.Since(<-at); took > time.Second {
		t.Errorf("it took %v", took)
	}
	_, err = c.Fetch(ctx, "echo", "")
	wantFault(t, err, Cancelled)
}

func TestManyGoroutines(t *testing.T) {
	c := connector(t)
	var all sync.WaitGroup
	for range [16]struct{}{} {
		all.Add(1)
		go func() {
			defer all.Done()
			for range [10]struct{}{} {
				if _, err := c.Fetch(context.Background(), "echo", `{"a": 1}`); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
}
