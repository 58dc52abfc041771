// coder/websocket (formerly nhooyr.io/websocket) on net/http, a goroutine for each connection. It
// leaves the validation of text to its application.
package main

import (
	"context"
	"errors"
	"flag"
	"net/http"

	"echo-trio/benchmarks/peers/contract"

	"github.com/coder/websocket"
)

func echo(options *websocket.AcceptOptions) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		connection, err := websocket.Accept(response, request, options)
		if err != nil {
			return
		}
		defer connection.CloseNow()
		connection.SetReadLimit(contract.MaxMessageBytes)
		// Not the request's: its documentation warns of it behind an upgrade.
		forever := context.Background()
		for {
			kind, message, err := connection.Reader(forever)
			if err != nil {
				return
			}
			err = contract.Answer(message, kind == websocket.MessageText, func(reply []byte) error {
				return connection.Write(forever, kind, reply)
			})
			if errors.Is(err, contract.ErrInvalidText) {
				connection.Close(websocket.StatusInvalidFramePayloadData, "")
			}
			if err != nil {
				return
			}
		}
	}
}

func main() {
	flag.Parse()
	options := &websocket.AcceptOptions{}
	if *contract.Compression {
		options.CompressionMode = websocket.CompressionContextTakeover
	}
	contract.Serve(echo(options))
}
