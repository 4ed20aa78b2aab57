// An Express application; the default action of SIGTERM ends it.
const express = require('express');

const app = express();
app.use(express.json());
app.use(express.static('/srv/www'));
app.get('/version', (request, response) => response.send(require('express/package.json').version));
app.get('/hello/:name', (request, response) => response.send(`hello ${request.params.name}\n`));
app.post('/sum', (request, response) => {
  response.json({ sum: request.body.reduce((sum, number) => sum + number, 0) });
});
app.listen(80, () => console.log('ready'));
