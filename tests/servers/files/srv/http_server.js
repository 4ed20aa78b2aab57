// Node's http server: bodies come back in upper case; SIGTERM ends it in an orderly way.
const http = require('http');

const server = http.createServer((request, response) => {
  if (request.method === 'GET') {
    return response.end('node answers\n');
  }
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (part) => { body += part; });
  request.on('end', () => response.end(body.toUpperCase()));
});
server.listen(80, () => console.log('ready'));
process.on('SIGTERM', () => {
  server.close(() => console.log('ended'));
  server.closeAllConnections();
});
