// SPDX-License-Identifier: Apache-2.0
// Node's http: tells method, target and body of each request.
'use strict';
const fs = require('fs');
const http = require('http');

const hex = (text) => Buffer.from(text, 'latin1').toString('hex');

const server = http.createServer((request, response) => {
	const parts = [];
	request.on('data', (part) => parts.push(part));
	request.on('end', () => {
		const body = Buffer.concat(parts).toString('hex') || '-';
		const line = `${hex(request.method)} ${hex(request.url)} ${body}\n`;
		fs.writeSync(1, line);
		response.setHeader('Content-Length', line.length);
		response.end(line);
	});
});
server.maxRequestsPerSocket = 0;
server.listen(Number(process.argv[2]), '127.0.0.1');
