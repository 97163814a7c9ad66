// Package aplsmoke calls the C API from Go, as a program without a wrapper would. The tests live beside it,
// since a _test.go file may not use cgo itself.
package aplsmoke

/*
#cgo CFLAGS: -I${SRCDIR}/../../bindings/go
#cgo LDFLAGS: -L${SRCDIR}/../../target/release -lapl -Wl,-rpath,${SRCDIR}/../../target/release
#include <stdlib.h>
#include <apl.h>
*/
import "C"

import (
	"context"
	"fmt"
	"unsafe"
)

// Fault is an apl_error, copied out of C.
type Fault struct {
	Status     int
	Name       string
	Message    string
	Category   string
	HTTPStatus int
	Retryable  bool
	Body       string
}

func (f *Fault) Error() string { return fmt.Sprintf("%s: %s", f.Name, f.Message) }

// UnknownEndpoint, HTTPStatus and Cancelled are the statuses the tests look for: enumerators are constants.
const (
	UnknownEndpoint = int(C.APL_STATUS_UNKNOWN_ENDPOINT)
	HTTPStatus      = int(C.APL_STATUS_HTTP_STATUS)
	Cancelled       = int(C.APL_STATUS_CANCELLED)
)

// fault copies the error and frees it.
func fault(err *C.apl_error) *Fault {
	defer C.apl_error_free(err)
	f := &Fault{
		Status:     int(C.apl_error_status(err)),
		Name:       C.GoString(C.apl_status_name(C.apl_error_status(err))),
		Message:    C.GoString(C.apl_error_message(err)),
		Category:   C.GoString(C.apl_error_category(err)),
		HTTPStatus: int(C.apl_error_http_status(err)),
		Retryable:  C.apl_error_is_retryable(err) != 0,
	}
	if answer := C.apl_error_response(err); answer != nil {
		f.Body = string(body(answer))
	}
	return f
}

// body is the response's own memory: good until the response is freed, and nothing is copied.
func body(response *C.apl_response) []byte {
	var length C.size_t
	data := C.apl_response_body(response, &length)
	return unsafe.Slice((*byte)(unsafe.Pointer(data)), int(length))
}

// text is a C string, or NULL for an empty one. The caller frees it; free(NULL) is harmless.
func text(s string) *C.char {
	if s == "" {
		return nil
	}
	return C.CString(s)
}

// Versions are the library's and its header's ABI numbers.
func Versions() (library, header uint32) { return uint32(C.apl_abi_version()), C.APL_ABI_VERSION }

// Connector is an apl_connector.
type Connector struct{ handle *C.apl_connector }

// New makes a connector from configuration text.
func New(config string) (*Connector, error) {
	c := C.CString(config)
	defer C.free(unsafe.Pointer(c))
	var handle *C.apl_connector
	var err *C.apl_error
	if C.apl_connector_new(c, &handle, &err) != C.APL_STATUS_OK {
		return nil, fault(err)
	}
	return &Connector{handle}, nil
}

// Close frees the connector.
func (c *Connector) Close() { C.apl_connector_free(c.handle) }

// Fetch gives the data of an endpoint, and ends when the context does.
func (c *Connector) Fetch(ctx context.Context, endpoint, params string) ([]byte, error) {
	e, p := text(endpoint), text(params)
	defer C.free(unsafe.Pointer(e))
	defer C.free(unsafe.Pointer(p))

	cancel := C.apl_cancel_new()
	defer C.apl_cancel_free(cancel)
	triggered := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(triggered)
		C.apl_cancel_trigger(cancel)
	})
	defer func() {
		if !stop() {
			<-triggered // it runs, or has run: the token may not be freed under it
		}
	}()

	var response *C.apl_response
	var err *C.apl_error
	if C.apl_fetch(c.handle, e, p, nil, cancel, &response, &err) != C.APL_STATUS_OK {
		return nil, fault(err)
	}
	defer C.apl_response_free(response)
	return append([]byte(nil), body(response)...), nil
}
